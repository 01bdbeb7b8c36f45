#!/bin/sh
# Run cmocka programs, as many at once as there are processors, and end in one line of
# totals. A failing program's whole output is shown; a passing one is one line.
set -u
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each leaves its output and its exit status under its name.
# shellcheck disable=SC2016 # for the inner shell
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' sh -c '
	"$1" >"$2/$(basename "$1").log" 2>&1
	echo $? >"$2/$(basename "$1").status"' sh '{}' "$work"

for program in "$@"; do
	log=$work/$(basename "$program").log
	# Without a status it was not even started.
	status=$(cat "$work/$(basename "$program").status") || status=1
	ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
	bad=$(sed -n 's/^\[  FAILED  \] [^:]*: \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
	ok=${ok:-0} bad=${bad:-0}
	# A crash, a sanitizer report or a program without a test is a failure too.
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ "$status" -eq 0 ] && [ "$ok" -eq 0 ]; then bad=1; fi
	passed=$((passed + ok)) failed=$((failed + bad))
	if [ "$bad" -ne 0 ]; then
		cat "$log"
		echo "FAIL $(basename "$program") (exit $status)"
	else
		echo "ok   $(basename "$program"): $ok tests"
	fi
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
