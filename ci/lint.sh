#!/bin/sh
# Every static check, inside the toolchain image. A check prints `ok NAME`, or
# its findings and `FAIL NAME`; the last line counts them.
#
#   ci/lint.sh [NAME...]     only these checks
#
# Dockerfiles have no linter in Debian (hadolint is not packaged), so none is run.
set -u
cd "$(dirname "$0")/.." || exit

jobs=$(nproc)
out=build/lint
log=$(mktemp)
trap 'rm -f "$log"' EXIT
only=" $* "
passed=0 failed=0

c_files() { find common services tests -name '*.c' | LC_ALL=C sort; }
c_and_headers() { find common services tests -name '*.[ch]' | LC_ALL=C sort; }

wanted() { [ "$only" = '  ' ] || [ "${only#* "$1" }" != "$only" ]; }

# check NAME COMMAND...: quiet when it succeeds.
check() {
	name=$1
	shift
	wanted "$name" || return 0
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "ok   $name"
	else
		failed=$((failed + 1))
		cat "$log"
		echo "FAIL $name"
	fi
}

# The compiler's view: every warning of build.mk is an error. No link-time
# optimisation, which finds nothing more and takes most of the time.
warnings() {
	make -s -j "$jobs" -f ci/build.mk binaries unit-programs CONFIG=release OUT="$out" \
		WERROR=1 OPT='-O2 -g0 -D_FORTIFY_SOURCE=2'
}

format() { c_and_headers | xargs clang-format --dry-run -Werror --ferror-limit=1; }

# clang-tidy wants to know how each file is compiled: with the flags of build.mk
# that change what the code says. Any string does for the version.
compile_commands() {
	flags="-std=c11 -D_GNU_SOURCE -Icommon -Iservices -I$out/gen $(pkg-config --cflags libpq) -DDP_VERSION=__FILE__ -DDP_BUILD_EPOCH=0"
	c_files | awk -v dir="$PWD" -v flags="$flags" '
		BEGIN { print "[" }
		{
			printf "%s{\"directory\":\"%s\",\"file\":\"%s\",", sep, dir, $0
			printf "\"command\":\"cc %s -c %s\"}\n", flags, $0
			sep = ","
		}
		END { print "]" }' >"$out/compile_commands.json"
}

tidy() {
	mkdir -p "$out"
	make -s -f ci/build.mk OUT="$out" "$out/gen/schema.sql.h" "$out/gen/postgres.sql.h" && compile_commands &&
		c_files | xargs -P "$jobs" -n 2 clang-tidy --quiet -p "$out"
}

static_analysis() {
	# How deep it looked into a long function is no finding.
	cppcheck --quiet --std=c11 -j "$jobs" --error-exitcode=1 --inline-suppr \
		--library=ci/cppcheck.cfg --suppress=normalCheckLevelMaxBranches \
		--enable=warning,performance,portability \
		-D_GNU_SOURCE -Icommon -Iservices common services tests/unit
}

# A note to come back later is an issue, not a comment.
unfinished_words() {
	! grep -rnIwE 'TO[D]O|FIX[M]E|X[X]X' --include='*' --exclude-dir=data --exclude-dir=__pycache__ \
		common services compose ci boards tests Makefile Dockerfile.multi
}

shell_scripts() {
	{
		find ci -name '*.sh'
		find .ci common services compose ci tests boards -type f -exec grep -lE -m 1 \
			'^#!/(usr/)?bin/(env )?(ba|da)?sh' {} +
	} | LC_ALL=C sort -u
}

shell() { shell_scripts | xargs shellcheck -x; }

# Needs the client only, no engine; services.yml is what the others extend, some are laid over a
# node or a broker.
compose_files() {
	status=0
	for file in compose/*.yml; do
		case $file in
		compose/services.yml) continue ;;
		compose/gpio.yml) over="-f compose/node.yml" ;;
		compose/devices*.yml) over="-f compose/broker.yml" ;;
		*) over= ;;
		esac
		# shellcheck disable=SC2086 # an option or nothing
		NODE_NAME=lint SENSORS=climate=sim@1 BROKER_HOST=localhost GPIO_GROUP=0 \
			docker compose $over -f "$file" config -q || status=1
	done
	return "$status"
}

check format format
check warnings warnings
check clang-tidy tidy
check cppcheck static_analysis
check include-rules ci/include-rules.sh
check structure ci/structure.py "$out/obj"
check structure-can-fail tests/lint/structure.py
check include-rules-can-fail tests/lint/include-rules.sh
check unfinished-words unfinished_words
check shellcheck shell
if docker compose version >/dev/null 2>&1; then
	check compose-config compose_files
fi

echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
