#!/bin/bash
# The way of the images to the boards, for real: built for all platforms, pushed to a registry
# on 127.0.0.1, removed here, pulled platform by platform and run, those for arm64 and arm/v7
# under emulation (tests/images/). Leaves neither registry nor emulation nor images behind.
# PLATFORMS: all unless set; BASE as in images.sh.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

ci/engine.sh
. ci/lib.sh
ci/base-image.sh
ci/dev-image.sh
containerd_store || fail "$needs_containerd_store"

platforms=$(platform_list "${PLATFORMS:-all}")
foreign=localhost/dewpoint/foreign:latest
log=$(mktemp)
containers=
cleanup() {
	for container in $containers; do dk rm -f "$container" >/dev/null || :; done
	if [ -n "${REGISTRY:-}" ]; then
		for name in $(image_names); do
			dk rmi -f "$REGISTRY/$name:$TAG" >/dev/null 2>&1 || :
		done
	fi
	rm -f "$log"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

if ! dk buildx build --progress plain --provenance=false --load -f Dockerfile.multi \
	${BASE:+--build-arg BASE="$BASE"} --target foreign -t "$foreign" . >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	fail "the image with registry and emulators could not be built (above)"
fi

# start SAID OPTION...: a container of that image; waits until it has said SAID. Its identity
# is in `started`.
start() {
	local said=$1
	shift
	started=$(dk run -d "$@")
	containers="$containers $started"
	for _ in $(seq 100); do
		if dk logs "$started" 2>&1 | grep -q "$said"; then return; fi
		[ "$(dk inspect -f '{{.State.Running}}' "$started")" = true ] || break
		sleep 0.1
	done
	dk logs "$started" >&2
	fail "a helper of this test did not start (above)"
}

start ready --privileged --network none "$foreign" emulation
# Port 0 lets the kernel choose; the registry does not say which, so a free one is looked for.
port=$(ci/dev.sh --docker python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start "listening on" --network host --read-only --tmpfs /tmp -e REGISTRY_HTTP_ADDR="127.0.0.1:$port" \
	-e REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/tmp/registry "$foreign" \
	sh -c 'printf "version: 0.1\nstorage: {filesystem: {}}\nhttp: {}\n" >/tmp/config.yml &&
		exec docker-registry serve /tmp/config.yml'

export REGISTRY="127.0.0.1:$port/dewpoint" TAG=under-test PLATFORMS="$platforms"
say "==> Pushing to a registry on 127.0.0.1"
ci/push.sh
ci/sbom.sh
for name in $(image_names); do dk rmi -f "$REGISTRY/$name:$TAG" >/dev/null; done
say "==> Pulling and running the images"
ci/dev.sh --docker python3 -m pytest -q --color=no -s tests/images
