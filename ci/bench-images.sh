#!/bin/sh
# Measure the images: what is pulled, how soon they store a reading, what they take in memory
# and of the processor in containers and without, and the same of a stand-in for the paper's
# image (tests/images/bench.py). Two minutes, once the images are built.
# PLATFORMS: all unless set; BASE as in images.sh.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

ci/engine.sh
. ci/lib.sh
ci/base-image.sh
ci/dev-image.sh
containerd_store || fail "$needs_containerd_store"
command -v python3 >/dev/null 2>&1 ||
	fail "python3 is missing on this machine, and what is measured runs outside of containers too: apt-get install python3"

export REGISTRY="${REGISTRY:-localhost/dewpoint}" TAG="${TAG:-bench}"
PLATFORMS="${PLATFORMS:-all}" ci/images.sh --packed
say "==> Building a stand-in for the paper's image"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for output in type=docker type=oci,dest=build/paper.tar; do
	if ! dk buildx build --progress plain --provenance=false ${BASE:+--build-arg BASE="$BASE"} \
		-t localhost/dewpoint/paper:latest --output "$output" tests/images/paper >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		fail "the stand-in could not be built (above)"
	fi
done
as_root env DOCKER="$DOCKER" REGISTRY="$REGISTRY" TAG="$TAG" PATH="$PATH" HOME="${HOME:-/root}" \
	python3 tests/images/bench.py
