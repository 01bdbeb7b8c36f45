#!/bin/sh
# Build the toolchain image, DEV_IMAGE: compilers, linters, test tools. TOOLCHAIN=bench
# builds one that has the peers of the benchmarks as well.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

stage=${TOOLCHAIN:-dev}
image=$DEV_IMAGE
dk image inspect "$image" >/dev/null 2>&1 ||
	say "==> Building the toolchain image $image (about 2 minutes, about 400 MB to download)"
ca=/etc/ssl/certs/ca-certificates.crt
[ -r "$ca" ] || ca=/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! dk buildx build --progress plain --provenance=false --load -f Dockerfile.multi \
	--secret "id=ca,src=$ca" --target "$stage" -t "$image" . >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	fail "the build of the toolchain image failed (above)"
fi
