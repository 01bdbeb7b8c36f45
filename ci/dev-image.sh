#!/bin/sh
# Build the toolchain image, DEV_IMAGE: compilers, linters, test tools.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

image=$DEV_IMAGE
dk image inspect "$image" >/dev/null 2>&1 ||
	say "==> Building the toolchain image $image (about 2 minutes, about 400 MB to download)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! dk buildx build --progress plain --provenance=false --load -f Dockerfile.multi \
	--target dev -t "$image" . >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	fail "the build of the toolchain image failed (above)"
fi
