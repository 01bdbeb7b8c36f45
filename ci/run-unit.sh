#!/bin/sh
# Run cmocka programs one after another and end in one line of totals.
# A failing program's whole output is shown; a passing one is one line.
set -u
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
	"$program" >"$log" 2>&1
	status=$?
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
