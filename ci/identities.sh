#!/bin/sh
# Who may come in at the broker (compose/provision/README.md), and when each was last heard of:
# the newest reading of its topic in the database, where that is on this machine.
#   [STACK=broker|lab] [NATIVE=1] ci/identities.sh
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ci/provision.sh list >"$work/list"
if [ -n "${NATIVE:-}" ]; then
	query() { sqlite3 -readonly -cmd '.timeout 5000' /var/lib/dewpoint/store/broker.db "$1"; }
else
	query() { STACK=${STACK:-broker} ci/readings.sh "$1"; }
fi
# A reading's time is what its sender said; one of the future is no time at which it was seen.
if ! query "SELECT topic || '|' || datetime(max((SELECT max(ts) FROM reading
	WHERE sensor = sensor.id AND ts < unixepoch() * 1000000 + 86400000000)) / 1000000, 'unixepoch')
	FROM sensor GROUP BY topic" >"$work/seen" 2>"$work/why"; then
	: >"$work/seen"
fi
awk -F '|' -v prefix="${TOPIC_PREFIX:-/data}/" '
	FNR == NR { seen[$1] = $2; next }
	FNR == 1 { printf "%-61s %-20s %s\n", substr($0, 1, 56), "last reading (UTC)", "state"; next }
	{
		split($0, word, " +")
		at = prefix word[1] in seen ? seen[prefix word[1]] : "-"
		printf "%-61s %-20s %s\n", substr($0, 1, 56), at, substr($0, 57)
	}' "$work/seen" "$work/list"
if [ ! -s "$work/seen" ] && [ -s "$work/why" ]; then say "    last readings are not shown: $(tail -n 1 "$work/why")"; fi
