#!/bin/sh
# Follow the readings that ingest prints, one line each, until Ctrl-C.
#   [STACK=lab|broker] ci/tail.sh
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

project=${PROJECT:-dewpoint-${STACK:-lab}}
need_engine
containers=$(dk ps -q --filter "label=com.docker.compose.project=$project" \
	--filter label=com.docker.compose.service=ingest)
[ -n "$containers" ] || fail "no ingest of $project is running: make up starts the lab"
trap 'kill $followers 2>/dev/null; exit 0' INT TERM
followers=
for id in $containers; do
	dk logs --follow --tail 10 "$id" 2>/dev/null &
	followers="$followers $!"
done
wait
