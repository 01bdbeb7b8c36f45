#!/bin/sh
# An SPDX document for each image and platform, build/sbom/<image>_<platform>.spdx.json, made
# of dpkg's own data. Fails when a file of an image belongs to no package and is not ours.
# PLATFORMS: all unless set; BASE as in images.sh.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

need_engine
platforms=$(platform_list "${PLATFORMS:-all}")
source_version
out=build/sbom
owners=$(mktemp -d -p "$(mkdir -p build && echo build)")
log=$(mktemp)
trap 'rm -rf "$owners" "$log"' EXIT

say "==> Asking dpkg whose the images' files are ($platforms)"
for platform in $(printf '%s' "$platforms" | tr , ' '); do
	if ! dk buildx build --progress plain --provenance=false -f Dockerfile.multi \
		${BASE:+--build-arg BASE="$BASE"} --build-arg VERSION="$version" \
		${epoch:+--build-arg SOURCE_DATE_EPOCH="$epoch"} --platform "$platform" \
		--target sbom --output "type=local,dest=$owners/$platform" . >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		fail "the files of the images for $platform could not be told (above)"
	fi
	ci/dev.sh python3 ci/image/sbom.py "$owners/$platform" "$out" "$platform" "$version" "${epoch:-0}"
done
say "    $(find "$out" -name '*.spdx.json' | wc -l) documents are in $out"
