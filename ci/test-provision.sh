#!/bin/sh
# Boards from bundles, for real: a centre and nodes, each in a container with a Docker Engine of
# its own that has never seen an image (tests/provision/). 5 minutes once the images are built.
# PLATFORMS: all unless set; BASE as in images.sh.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

ci/engine.sh
. ci/lib.sh
ci/base-image.sh
ci/dev-image.sh
ci/images.sh
platforms=$(platform_list "${PLATFORMS:-all}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! dk buildx build --progress plain --provenance=false --load -f Dockerfile.multi \
	${BASE:+--build-arg BASE="$BASE"} --target engine -t localhost/dewpoint/engine:latest . >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	fail "the image of a board with Docker could not be built (above)"
fi
PLATFORMS=$platforms ci/dev.sh --docker python3 -m pytest -q --color=no -s --durations=5 tests/provision "$@"
