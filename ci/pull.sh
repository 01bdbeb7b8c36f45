#!/bin/sh
# Pull the images for this board, REGISTRY/<name>:TAG, or for PLATFORM.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

[ -n "${REGISTRY:-}" ] || fail "where from? for example: make pull REGISTRY=registry.example.org/dewpoint"
need_engine
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for name in $(image_names); do
	image=$REGISTRY/$name:${TAG:-latest}
	if ! again "$log" dk pull -q ${PLATFORM:+--platform "$PLATFORM"} "$image"; then
		tail -n 1 "$log" >&2
		case $(cat "$log") in
		*"no matching manifest"* | *"no match for platform"*)
			there=$(dk buildx imagetools inspect "$image" 2>/dev/null |
				sed -n 's/^ *Platform: *\(linux.*\)/\1/p' | tr '\n' ' ')
			fail "$image is not there for ${PLATFORM:-this board}; it is for: ${there:-no platform at all}" ;;
		esac
		fail "$image could not be pulled (above)"
	fi
	say "    pulled $image"
done
