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
case $dir in /*) full=$dir ;; *) full=$PWD/$dir ;; esac
project=${PROJECT:-dewpoint-${STACK:-broker}}

need_engine
if ! dk image inspect "$image" >/dev/null 2>&1; then
	ci/base-image.sh
	ci/images.sh
fi

# In the broker's own network and among its processes: that is where it is told of changes.
beside=
label=com.docker.compose.service
broker=$(for name in mosquitto broker-mosquitto; do
	dk ps -q --filter "label=com.docker.compose.project=$project" --filter "label=$label=$name"
done | head -n 1)
if [ -n "$broker" ]; then
	beside="--pid container:$broker --network container:$broker"
	# The first process of a container is its program.
	export BROKER_PID=1
elif [ -n "${BROKER_AT:-}" ]; then
	beside="--network host"
else
	beside="--network none"
fi

if [ ! -d "$full" ]; then
	mkdir -p "$full"
	chmod 700 "$full"
fi
# shellcheck disable=SC2086 # a list of options
dk run --rm $beside --read-only --tmpfs /tmp --cap-drop ALL \
	--cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add KILL \
	-v "$full:/provision" -e "PROVISION_SHOWN=$dir" \
	-e BROKER -e NODES -e SENSORS -e OUTPUTS -e WAS -e TOPIC_PREFIX -e INSIDE -e BROKER_AT -e BROKER_PID \
	"$image" "$@"

# What broker.yml has to know, once there is somebody to let in.
if [ "${1:-}" = init ] && [ "$dir" = provision ]; then
	if grep -q '^ *BROKER_ACCESS=' compose/.env 2>/dev/null; then
		say "    compose/.env says BROKER_ACCESS already: it has to be provisioned, with BROKER_IDENTITY=../provision/broker"
	else
		{
			say "" "# Who may come in: made by make provision."
			dk run --rm --network none -v "$full:/provision:ro" --entrypoint /usr/bin/cat "$image" /provision/broker/env
			say "BROKER_IDENTITY=../provision/broker"
		} >>compose/.env
		say "    compose/.env says so to broker.yml and scale.yml (BROKER_ACCESS, BROKER_IDENTITY)"
	fi
fi
