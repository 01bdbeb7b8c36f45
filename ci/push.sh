#!/bin/sh
# Push the images of all platforms, with provenance: REGISTRY/<name>, tagged with the
# version that git tells and `latest`, or with TAG alone.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

[ -n "${REGISTRY:-}" ] || fail "where to? for example: make push REGISTRY=registry.example.org/dewpoint"
need_engine
source_version
# A tag has no + and no /.
tags=${TAG:-$(printf '%s' "$version" | tr -c 'A-Za-z0-9_.-' -) latest}

export TAG="${tags%% *}" PLATFORMS="${PLATFORMS:-all}" PROVENANCE=1
ci/images.sh --packed
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for name in $(image_names); do
	for tag in $tags; do
		[ "$tag" = "$TAG" ] || dk tag "$REGISTRY/$name:$TAG" "$REGISTRY/$name:$tag"
		if ! again "$log" dk push "$REGISTRY/$name:$tag"; then
			tail -n 3 "$log" >&2
			fail "the images are built, but $REGISTRY did not take $name (above): is it there, and are you logged in (docker login)?"
		fi
		say "    pushed $REGISTRY/$name:$tag"
	done
done
