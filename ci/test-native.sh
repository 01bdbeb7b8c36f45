#!/bin/sh
# Dewpoint without containers, from a bare Debian 13 on: what `make native` says is missing
# is installed, it builds, `make install` installs, and real readings pass through the
# units under a systemd of its own. All that happens in a container which is thrown away;
# ci/native/test.sh is what runs in it. Ends with one line, `native: N passed, N failed`.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

need_engine
name=dewpoint-native-$$
trap 'dk rm -f "$name" >/dev/null 2>&1 || :' EXIT
trap 'exit 130' INT TERM

# The first process waits until everything is installed; then it becomes systemd, with
# cgroups of version 2, also where the host uses the first. systemd mounts, maps users,
# filters devices and addresses: that takes these capabilities. /proc/sys
# stays read only, so that it sets nothing of the host's kernel.
# shellcheck disable=SC2016 # expanded in the container
dk run -d --name "$name" --cgroupns private --tmpfs /run --tmpfs /tmp:exec \
	--cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add NET_ADMIN --cap-add BPF \
	--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
	-e container=docker -v "$PWD:/checkout:ro" debian:trixie-slim sh -c '
		mkfifo /boot-now && read -r unit </boot-now
		umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
			exec /usr/lib/systemd/systemd --unit="$unit"' >/dev/null

inside() { dk exec -e JOBS="${JOBS:-}" "$name" "$@"; }

say "==> In a bare Debian 13: build and install"
inside sh -c 'mkdir /src && tar -C /checkout --exclude=./build -c . | tar -C /src -x' || fail "the checkout could not be copied (above)"
status=0
inside /src/ci/native/test.sh install || status=1
if [ "$status" -eq 0 ]; then
	say "==> Booting systemd in it"
	inside sh -c 'echo basic.target >/boot-now'
	inside /src/ci/native/test.sh run || status=1
fi
inside /src/ci/native/test.sh total || status=1
exit "$status"
