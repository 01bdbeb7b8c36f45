#!/bin/sh
# Who may come in: make, list and take back identities (compose/provision/README.md).
#
#   ci/provision.sh init|node NAME|device NAME|client NAME|revoke NAME|renew NAME|...
#
# PROVISION_DIR   where they are kept: provision/
# STACK           whose broker learns of it at once, if it runs here: broker (scale, lab)
# BROKER_AT       where that is, if it runs on another machine
# NATIVE          not empty: without Docker (ci/native/provision.sh)
# BROKER, NODES, SENSORS, OUTPUTS, WAS, TOPIC_PREFIX   as compose/provision/provision says
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh
[ -z "${NATIVE:-}" ] || exec ci/native/provision.sh "$@"

image=${REGISTRY:-localhost/dewpoint}/provision:${TAG:-latest}
dir=${PROVISION_DIR:-provision}
full=$(realpath -m "$dir")
project=${PROJECT:-dewpoint-${STACK:-broker}}

need_engine
if ! dk image inspect "$image" >/dev/null 2>&1; then
	ci/base-image.sh
	ci/images.sh
fi

# In the broker's own network: that is where it is told of changes. What it has to read anew is
# said by a file, as its processes are none of that container's. The file is in this folder: who
# calls from a container, as ci/dev.sh --docker, has another /tmp than the engine.
mkdir -p build
signals=$(mktemp -d "$PWD/build/signals.XXXXXX")
watcher=
# shellcheck disable=SC2317 # called at the end
end() {
	[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || :
	rm -rf "$signals"
}
trap end EXIT
trap 'exit 130' INT TERM
label=com.docker.compose.service
broker=
# At first there is nothing that it could be told.
[ -n "${BROKER_AT:-}" ] || [ "${1:-}" = init ] || broker=$(for name in mosquitto broker-mosquitto; do
	dk ps -q --filter "label=com.docker.compose.project=$project" --filter "label=$label=$name" \
		--filter status=running --filter status=paused
done | head -n 1)
# Not by docker kill: whom the engine sent a signal, it does not start again after a reboot.
watch_for_hup() {
	while :; do
		[ ! -e "$signals/hup" ] || {
			dk run --rm --network none --pid "container:$broker" --cap-drop ALL --cap-add KILL \
				--entrypoint /bin/sh "$image" -c 'kill -s HUP 1' && rm -f "$signals/hup"
		}
		sleep 0.05
	done
}
# Where it finds who may come in.
mounted=
[ -z "$broker" ] || mounted=$(dk inspect --format \
	'{{range .Mounts}}{{if eq .Destination "/mosquitto/identity"}}{{.Source}}{{end}}{{end}}' "$broker")
if [ -n "$broker" ] && [ -z "$mounted" ]; then
	broker=
	say "    the broker of $project lets everybody in who reaches it, until it is started anew: docker compose up -d"
fi
if [ -n "$broker" ]; then
	beside="--network container:$broker"
	[ "$(realpath -m "$mounted")" = "$full/broker/mosquitto" ] ||
		fail "the broker of $project has its identities in $mounted, not in $dir: name the stack with STACK=, or, if it was started from broker.tar, say BROKER_AT=127.0.0.1"
	export BROKER_HUP=/signals/hup
	watch_for_hup &
	watcher=$!
elif [ -n "${BROKER_AT:-}" ]; then
	beside="--network host"
else
	beside="--network none"
fi

# What broker.yml says of it already.
if [ "${1:-}" = init ] && [ -z "${TOPIC_PREFIX:-}" ] && [ -r compose/.env ] && [ "$dir" = provision ]; then
	TOPIC_PREFIX=$(sed -n "s/^TOPIC_PREFIX=//p" compose/.env | tail -n 1 | tr -d "'\"")
	export TOPIC_PREFIX
fi

if [ ! -d "$full" ]; then
	mkdir -p "$full"
	chmod 700 "$full"
fi
status=0
# shellcheck disable=SC2086 # a list of options
dk run --rm $beside --read-only --tmpfs /tmp --cap-drop ALL \
	--cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER \
	-v "$full:/provision" -v "$signals:/signals" -e "PROVISION_SHOWN=$dir" \
	-e BROKER -e NODES -e SENSORS -e OUTPUTS -e WAS -e TOPIC_PREFIX -e INSIDE -e BROKER_AT -e BROKER_HUP \
	"$image" "$@" || status=$?
[ "$status" -ne 137 ] || say "provision.sh: it was killed before it had ended: run the same command again" >&2

# What broker.yml has to know, once there is somebody to let in. Also after a first run that was
# interrupted before this.
known() { dk run --rm --network none -v "$full:/provision:ro" --entrypoint /usr/bin/cat "$image" /provision/broker/env; }
if [ "$dir" = provision ] && ! grep -q '^ *BROKER_ACCESS=' compose/.env 2>/dev/null; then
	if lines=$(known 2>/dev/null); then
		say "" "# Who may come in: made by make provision." "$lines" "BROKER_IDENTITY=../provision/broker" >>compose/.env
		say "    compose/.env says so to broker.yml and scale.yml (BROKER_ACCESS, BROKER_IDENTITY)"
	fi
elif [ "${1:-}" = init ] && [ "$status" -eq 0 ] && [ "${PROVISION_SAY:-1}" = 1 ]; then
	say "    broker.yml and scale.yml take these identities by BROKER_ACCESS=provisioned and BROKER_IDENTITY=$full/broker"
fi
exit "$status"
