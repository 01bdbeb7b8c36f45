#!/bin/sh
# Show what arrived and could not be read: when last, on which topic, why, how often, and
# how the last one begins. Looks only: the file is opened read-only.
#   [STACK=lab|broker] [ROWS=20] ci/dead-letters.sh
set -eu
cd "$(dirname "$0")/.."

count=${ROWS:-20}
case $count in '' | *[!0-9]*)
	echo "dead-letters.sh: ROWS=$count: a number of rows is wanted" >&2
	exit 1
	;;
esac
# What is not plain text is shown in hexadecimal: a stranger's bytes reach no terminal.
exec ci/readings.sh "
SELECT 'last (UTC)', 'topic', 'reason', 'count', 'bytes', 'begins';
SELECT datetime(max(ts) / 1000000, 'unixepoch'), topic, reason, count(*), bytes,
  CASE WHEN CAST(substr(payload, 1, 60) AS TEXT) GLOB '*[^ -~]*' OR instr(payload, x'00') > 0
    THEN 'x''' || hex(substr(payload, 1, 30)) || '''' ELSE CAST(substr(payload, 1, 60) AS TEXT) END
FROM dead_letter GROUP BY topic, reason ORDER BY max(ts) DESC LIMIT $count;"
