#!/bin/bash
# All tests, or the named parts: lint unit integration fault rig e2e. From a bare machine
# on; ends with one line of totals and fails when anything failed or a part ran
# no test.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

parts=${*:-lint unit integration fault rig e2e}
for part in $parts; do
	case $part in
	lint | unit | integration | fault | fault-full | rig | e2e | identity) ;;
	*) fail "$part: not a part of the tests; known are lint, unit, integration, fault, fault-full, rig, e2e and identity" ;;
	esac
done

ci/engine.sh
. ci/lib.sh
ci/base-image.sh
ci/dev-image.sh

# What steps leave behind: logs, `totals` (a line a step: passed failed), `reasons`.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/totals"
: >"$work/reasons"
begin=$(date +%s)

# total WORD: the number before WORD in the last line of totals of the log, which
# is "unit: 3 passed, 1 failed" or pytest's "== 1 failed, 3 passed in 4.2s ==".
total() {
	grep -E '(^|[^0-9])[0-9]+ (passed|failed|errors?)' "$log" | tail -n 1 |
		grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0
}

# why WHAT CAUSE: the lines of the log that say what failed and why, or its end.
why() {
	{
		grep -E "$2" "$log" | head -n 10
		grep -E "$1" "$log" | head -n 20
	} | grep . || tail -n 15 "$log"
}

# step NAME COMMAND...: run it, show its output when it has ended, note its totals. Each of
# the lanes that run side by side has a log of its own: $lane says whose.
step() {
	local name=$1 status=0 ok bad start
	shift
	start=$(date +%s)
	log=$work/$lane.log
	say "==> $name ..."
	"$@" >"$log" 2>&1 || status=$?
	ok=$(total passed)
	bad=$(($(total failed) + $(total 'errors?')))
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ "$status" -eq 0 ] && [ "$ok" -eq 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		echo "it ended well without a test" >>"$log"
	fi
	echo "$ok $bad" >>"$work/totals"
	if [ "$bad" -ne 0 ]; then
		{
			echo "--- $name (exit $status):"
			why '^(FAIL|FAILED|ERROR) ' '^[^ ]+:[0-9]+(:[0-9]+)?: error:'
		} >"$work/$lane.why"
		cat "$work/$lane.why" >>"$work/reasons"
	fi
	{
		say "" "==> $name"
		cat "$log"
		say "==> $name: $ok passed, $bad failed, $(($(date +%s) - start)) s" ""
	} >"$work/$lane.said"
	cat "$work/$lane.said"
	[ "$bad" -eq 0 ]
}

# A step without tests of its own; the parts that need it are not run without it.
prepare() {
	local name=$1 start
	shift
	start=$(date +%s)
	log=$work/$lane.log
	if "$@" >"$log" 2>&1; then
		say "==> $name: done, $(($(date +%s) - start)) s"
		return
	fi
	cat "$log"
	echo "0 1" >>"$work/totals"
	{
		echo "--- $name:"
		why '\*\*\*' '^[^ ]+:[0-9]+:[0-9]+: (fatal )?error:'
	} >>"$work/reasons"
	return 1
}

# The fault tests run an ingest of a version to come beside today's.
next_ingest() {
	make_in_dev "build/next/bin/ingest" CONFIG=asan OUT=build/next \
		MIGRATIONS="common/schema.sql common/schema_2.sql common/schema_3.sql common/schema_4.sql tests/fault/schema_next.sql"
}
make_in_dev() { ci/dev.sh make -s -j "$(nproc)" -f ci/build.mk WERROR=1 "$@"; }
# Most of the time these tests wait: so many at once, in a folder whose name is short, as
# sockets' names may not be long.
WORKERS=${WORKERS:-4} FAULT_WORKERS=${FAULT_WORKERS:-2} E2E_WORKERS=${E2E_WORKERS:-2}
pytest_in_dev() { ci/dev.sh python3 -m pytest -q --color=no -n "$WORKERS" --basetemp=/tmp/t "$@"; }
# The fault tests mount small file systems: in a user namespace of their own.
fault_in_dev() { ci/dev.sh unshare -Urm python3 -m pytest -q --color=no ${CASE:+-k "$CASE"} "$@"; }
# Always provisioned; OPEN=1 is for the whole matrix.
short_faults_in_dev() { OPEN='' fault_in_dev -n "$FAULT_WORKERS" --basetemp=/tmp/t "$@"; }
# Nodes that send what they have each second, and a centre that stores each other second.
GATHERING="tests/fault/test_kills.py tests/fault/test_outages.py tests/fault/test_frozen.py
	tests/fault/test_network.py"

# Each file has stacks of its own, and most of the time they wait as well.
# REVOKE_SESSIONS: among how many boards one is revoked.
e2e_in_dev() {
	ci/dev.sh --docker env "REVOKE_SESSIONS=${REVOKE_SESSIONS:-20}" \
		python3 -m pytest -q -rPfE --durations=5 --color=no -n "$E2E_WORKERS" --dist loadfile "$@"
}
IDENTITY="tests/e2e/test_access.py tests/e2e/test_doors.py tests/e2e/test_broken_starts.py
	tests/e2e/test_check.py tests/e2e/test_provision.py tests/e2e/test_revoke.py"

# Everything that several parts need is built before they run side by side.
builds() {
	prepare "programs with AddressSanitizer and UBSan" make_in_dev binaries plugins clocked faked fault-programs unit-programs CONFIG=asan &&
		prepare "programs with ThreadSanitizer" make_in_dev binaries CONFIG=tsan &&
		prepare "an ingest to come" next_ingest
}

run_part() {
	case $1 in
	lint)
		step lint ci/dev.sh ci/lint.sh || :
		;;
	unit)
		step "unit tests, AddressSanitizer and UBSan" make_in_dev unit CONFIG=asan || :
		step "unit tests, ThreadSanitizer" make_in_dev unit-threads || :
		;;
	integration)
		BIN=build/asan/bin step "integration tests, AddressSanitizer and UBSan" \
			pytest_in_dev tests/integration || :
		BIN=build/tsan/bin step "integration tests, ThreadSanitizer" \
			pytest_in_dev -m tsan tests/integration || :
		;;
	fault)
		BIN=build/asan/bin step "fault matrix, short form" short_faults_in_dev tests/fault || :
		# shellcheck disable=SC2086 # a list of files
		[ -n "${CASE:-}" ] || BIN=build/asan/bin GATHER=1 \
			step "fault matrix with gathering, short form" short_faults_in_dev $GATHERING || :
		;;
	fault-full)
		if prepare "services" make_in_dev binaries plugins fault-programs; then
			BIN=build/release/bin step "fault matrix" \
				fault_in_dev --full ${SEEDS:+--seeds "$SEEDS"} tests/fault || :
			# shellcheck disable=SC2086 # a list of files
			[ -n "${CASE:-}" ] || BIN=build/release/bin GATHER=1 step "fault matrix with gathering" \
				fault_in_dev --full ${SEEDS:+--seeds "$SEEDS"} $GATHERING || :
		fi
		;;
	rig)
		step "GPIO on a real kernel" ci/rig.sh || :
		;;
	e2e)
		if prepare "images" ci/images.sh; then
			step "end-to-end tests" e2e_in_dev tests/e2e || :
		fi
		;;
	identity)
		# shellcheck disable=SC2086 # a list of files
		if prepare "images" ci/images.sh; then
			step "what an attacker may try" e2e_in_dev $IDENTITY || :
		fi
		;;
	esac
}

# lane NAME PART...: these of the parts that are wanted, one after another.
lane() {
	lane=$1
	shift
	for part in "$@"; do
		case " $parts " in *" $part "*) run_part "$part" ;; esac
	done
}

# Those that mostly compute beside those that mostly wait, and only with what these leave of
# the processors: what waits has deadlines.
lane=main
case " $parts " in
*" unit "* | *" integration "* | *" fault "* | *" fault-full "*) builds || built=no ;;
esac
if [ -z "${built:-}" ]; then
	CPU_SHARES=128 lane computing lint unit rig &
	lane services integration e2e identity &
	lane faults fault fault-full &
	wait
fi

say ""
passed=$(awk '{ n += $1 } END { print n + 0 }' "$work/totals")
failed=$(awk '{ n += $2 } END { print n + 0 }' "$work/totals")
if [ -s "$work/reasons" ]; then
	say "What failed:"
	cat "$work/reasons"
	say ""
fi
say "All parts: $(($(date +%s) - begin)) s"
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
