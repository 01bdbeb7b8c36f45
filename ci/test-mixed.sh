#!/bin/sh
# Nodes and centres of an older version beside today's: tests/mixed/.
#   OLD=revision    the older version; unless set, the last one without what is tested here:
#                   answers that may wait, encoded batches, leases by byte locks
# Needs the history: a shallow clone does not have it.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

OLD=${OLD:-b43c8b7}
in_git() { git -c safe.directory='*' "$@"; }
in_git rev-parse --git-dir >/dev/null 2>&1 ||
	fail "this folder is no git repository, and the older version is built from the history"
if ! revision=$(in_git rev-parse --verify --quiet "$OLD^{commit}"); then
	[ "$(in_git rev-parse --is-shallow-repository)" = true ] &&
		fail "revision $OLD is not in this shallow clone: git fetch --unshallow"
	fail "there is no revision $OLD in this repository"
fi

ci/engine.sh
. ci/lib.sh
ci/base-image.sh
ci/dev-image.sh
if [ "$(cat build/old/revision 2>/dev/null || :)" != "$revision" ]; then
	say "==> Building the services of $OLD"
	rm -rf build/old
	mkdir -p build/old
	in_git archive "$revision" ci common services | tar -x -C build/old -f -
	ci/dev.sh make -s -C build/old -j "$(nproc)" -f ci/build.mk binaries OUT=. VERSION="$OLD" \
		SOURCE_DATE_EPOCH="$(in_git log -1 --format=%ct "$revision")"
	echo "$revision" >build/old/revision
fi
ci/dev.sh make -s -j "$(nproc)" -f ci/build.mk binaries CONFIG=asan
BIN=build/asan/bin exec ci/dev.sh unshare -Urm python3 -m pytest -q --color=no -n 2 \
	--basetemp=/tmp/t "$@" tests/mixed
