#!/bin/sh
# Show the last rows of the table dht of a stack's database, or run another query
# on it. Looks only: the file is opened read-only.
#   [STACK=lab|broker] ci/readings.sh [QUERY]
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

project=${PROJECT:-dewpoint-${STACK:-lab}}
volume=${project}_store
tool=${REGISTRY:-localhost/dewpoint}/tool:${TAG:-latest}

need_engine
dk volume inspect "$volume" >/dev/null 2>&1 ||
	fail "there is no volume $volume: this stack has not run here (make up starts the lab; STACK=broker shows a real broker's readings)"
dk image inspect "$tool" >/dev/null 2>&1 || fail "there is no image $tool: make images builds it"

# The volume is writable for the shared memory of SQLite's log; the file is not.
query() {
	dk run --rm --network none --read-only --cap-drop ALL -v "$volume:/data" \
		"$tool" -cmd '.timeout 5000' 'file:/data/broker.db?mode=ro' "$1"
}

if [ $# -gt 0 ]; then
	query "$1"
	exit
fi
count=${ROWS:-20}
case $count in '' | *[!0-9]*) fail "ROWS=$count: a number of rows is wanted" ;; esac
rows=$(query "SELECT * FROM (SELECT * FROM dht ORDER BY id DESC LIMIT $count) ORDER BY id;") ||
	fail "the database in $volume cannot be read (above)"
say "sqlite> SELECT * FROM dht ORDER BY id DESC LIMIT $count;  -- in $volume, oldest first"
say "$rows"
