#!/bin/sh
# The dependency rules of the C sources, read off their #include lines and calls.
#
#   ci/include-rules.sh [ROOT]
#
# Prints one line a violation, `file:line: rule`, and exits 1 when there is any.
# tests/lint/include-rules.sh proves that each rule can fail.
set -eu
awk_program=$(cd "$(dirname "$0")" && pwd)/include-rules.awk
cd "${1:-$(dirname "$0")/..}"

services=' '
for folder in services/*/; do services="$services$(basename "$folder") "; done

find common services tests/unit -name '*.[ch]' | LC_ALL=C sort |
	xargs awk -v services="$services" -f "$awk_program"
