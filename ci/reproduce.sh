#!/bin/sh
# Build all images twice from nothing, and compare: `same` or `differs` for each, with its
# digest. Fails when one differs. PLATFORMS: all unless set; BASE as in images.sh.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

need_engine
containerd_store || fail "$needs_containerd_store"
rm -rf build/reproduce
mkdir -p build/reproduce
export PLATFORMS="${PLATFORMS:-all}" NO_CACHE=1 LOAD=0
for turn in first second; do
	ARCHIVES=build/reproduce/$turn ci/images.sh --packed
done
different=0
for name in $(image_names); do
	first=$(sha256sum <"build/reproduce/first/$name.tar")
	second=$(sha256sum <"build/reproduce/second/$name.tar")
	if [ "$first" = "$second" ]; then
		say "same     $name ${first%% *}"
	else
		say "differs  $name"
		different=$((different + 1))
	fi
done
[ "$different" -eq 0 ] || fail "$different images differ; the archives are in build/reproduce"
