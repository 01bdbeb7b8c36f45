#!/bin/sh
# The sampler on a real kernel's GPIO chips, simulated in a guest: tests/rig/README.md.
#
#   ci/rig.sh [NAME...]     all scenarios, or those whose name contains one of these
#
# ARCH=amd64 or arm64 says what the guest is; this machine's architecture unless set.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

arch=${ARCH:-$(dk version --format '{{.Server.Arch}}')}
case $arch in amd64 | arm64) ;; *) fail "ARCH=$arch: the guest is amd64 or arm64" ;; esac
image=${REGISTRY:-localhost/dewpoint}/rig-$arch:${TAG:-latest}
dk image inspect "$image" >/dev/null 2>&1 ||
	say "==> Building the image of the rig, $image (about 4 minutes, about 300 MB to download)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# As images.sh names them, so that what is built already is not built again.
source_version
build() {
	dk buildx build --progress plain --provenance=false --load -f Dockerfile.multi \
		--build-arg VERSION="$version" ${epoch:+--build-arg SOURCE_DATE_EPOCH="$epoch"} \
		--platform "linux/$arch" --target rig -t "$image" . >"$log" 2>&1
}
# Once more where the engine has tidied a layer away that was about to be used.
if ! build && ! { grep -q 'parent snapshot .* does not exist' "$log" && build; }; then
	tail -n 40 "$log" >&2
	fail "the build of the rig's image failed (above)"
fi
# Its programs are this machine's, whatever the guest is.
# CPU_SHARES as for dev.sh.
dk run --rm --init --network none ${CPU_SHARES:+--cpu-shares "$CPU_SHARES"} \
	--platform "linux/$arch" "$image" "$@"
