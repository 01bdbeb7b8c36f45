#!/bin/sh
# Start the lab: what is missing is installed, the images are built, and it is up
# when fresh readings of both nodes are in the database.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

ci/engine.sh
. ci/lib.sh
ci/base-image.sh
ci/images.sh
# The lab's identities stay from start to start, as its readings do.
[ -d build/lab/ca ] ||
	PROVISION_SAY=0 PROVISION_DIR=build/lab STACK=lab BROKER=broker NODES="raspberrypi4 orangepi0" ci/provision.sh init

lab() { dk compose -f compose/lab.yml "$@"; }
# The newest row before the start: what comes after it is fresh.
before=0
if dk volume inspect dewpoint-lab_store >/dev/null 2>&1; then
	before=$(ci/readings.sh 'SELECT coalesce(max(id), 0) FROM dht;' 2>/dev/null || echo 0)
fi

say "==> Starting the lab: a broker stack and the nodes raspberrypi4 and orangepi0"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
lab up --detach --no-build --remove-orphans >"$log" 2>&1 || {
	cat "$log" >&2
	fail "the lab did not start (above)"
}
started=$(date +%s)
fresh="SELECT printf('Topic=%s, Temp=%.1f°C, Humidity=%.1f%%', topic, temp, humidity) FROM dht
	WHERE id IN (SELECT max(id) FROM dht WHERE id > ${before:-0} GROUP BY topic) ORDER BY topic;"
while :; do
	lines=$(ci/readings.sh "$fresh" 2>"$log" || :)
	case $lines in
	*Topic=/data/orangepi0,*Topic=/data/raspberrypi4,*) break ;;
	esac
	if [ $(($(date +%s) - started)) -ge 60 ]; then
		cat "$log" >&2
		lab ps --all >&2
		lab logs --tail 5 >&2
		fail "after 60 s there are no readings of both nodes in the database. Above: the containers and their last words; more with: $DOCKER compose -f compose/lab.yml logs"
	fi
	sleep 0.5
done
say "==> Readings of both nodes are in the database, $(($(date +%s) - started)) s after the start:" "" "$lines" ""
say "What next:"
say "    make readings     the last rows of the database"
say "    make tail         readings as they arrive"
say "    make down         stop (the readings are kept)"
say "    compose/README.md real boards: node.yml and broker.yml"
