#!/bin/sh
# Make bundles: for each NAME a file PROVISION_DIR/NAME.tar with all that a board with Docker
# needs to become that node by `./start`: images, Compose files, its identity. `broker` is the
# centre's.
#
#   ci/bundle.sh NAME...
#
# PROVISION_DIR  provision
# PLATFORM       of boards whose identities/NAME has no platform=; where it is not set either, that
#                of the board (boards/) that the name begins with, else this engine's
# REGISTRY, TAG  what the images are called in this engine (localhost/dewpoint, latest)
# ARCHIVES       build/bundle: archives of images, made once for each platform
#
# For its own platform, the engine's images are taken as they are, pulled or built; those of
# others, and where one is missing, are built. In a bundle their tag is their version.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

[ $# -gt 0 ] || fail "whose? for example: ci/bundle.sh broker orangepi0"
provision=${PROVISION_DIR:-provision}
case $provision in /*) ;; *) provision=$PWD/$provision ;; esac
archives=${ARCHIVES:-build/bundle}
registry=${REGISTRY:-localhost/dewpoint}
from=${TAG:-latest}
need_engine
own=$(platform_list native)

# as_owner PROGRAM ARGUMENT...: as root, whose the identities are; where this user is not root, in
# the image that made them.
as_owner() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
		return
	fi
	program=$1
	shift
	dk run --rm --network none --user 0:0 -v "$provision:$provision" -v "$PWD:$PWD:ro" -w "$PWD" \
		--entrypoint "$program" "$registry/provision:$from" "$@"
}

# one_platform WORD
one_platform() {
	case $1 in
	all | *,*) fail "PLATFORM=$1: a bundle is for one platform" ;;
	esac
	platform_list "$1"
}

# platform_of NAME
platform_of() {
	found=$(as_owner cat "$provision/identities/$1" | sed -n 's/^platform=//p')
	found=${found:-${PLATFORM:-}}
	longest=
	for board in boards/*.json; do
		board=$(basename "$board" .json)
		case $1 in
		"$board"*) [ "${#board}" -le "${#longest}" ] || longest=$board ;;
		esac
	done
	[ -n "$found" ] || [ -z "$longest" ] ||
		found=$(sed -n 's/.*"platform": *"\([^"]*\)".*/\1/p' "boards/$longest.json")
	one_platform "${found:-native}"
}

# engine_version IMAGE...: the one version in which the engine has all of them, for its own
# platform; else it fails.
engine_version() {
	common=
	label='{{.Os}}/{{.Architecture}} {{index .Config.Labels "org.opencontainers.image.version"}}'
	for image in "$@"; do
		has=$(dk image inspect --format "$label" "$registry/$image:$from" 2>/dev/null) || return 1
		case $own in
		"${has%% *}" | "${has%% *}"/*) ;;
		*) return 1 ;;
		esac
		[ -z "$common" ] || [ "$common" = "${has#* }" ] || return 1
		common=${has#* }
	done
	printf '%s\n' "$common"
}

# as_tag VERSION FILE...: a tag that says the version, and another one for other content.
as_tag() {
	shown=$(printf '%s' "$1" | tr -c 'A-Za-z0-9_.-' -)
	shift
	case $shown in
	*-dirty | unknown) shown=$shown-$(cat "$@" | sha256sum | cut -c 1-8) ;;
	esac
	printf '%s\n' "$shown"
}

# save_image IMAGE FILE: of this engine's platform. The containerd image store would give the layers
# as they were pulled, packed by zstd; BuildKit unpacks them.
save_image() {
	if containerd_store && dk buildx version >/dev/null 2>&1; then
		printf 'FROM %s\n' "$1" | dk buildx build -q --provenance=false --platform "$own" -t "$1" --output \
			"type=docker,dest=$2,compression=uncompressed,force-compression=true" - >/dev/null
	else
		dk save -o "$2" "$1"
	fi
}

# make_archive ARCHIVE PLATFORM IMAGE...: ARCHIVE.tar with these images, ARCHIVE.tag with what they
# are tagged there. Nothing is packed again while the images are the same.
make_archive() {
	to=$1 platform=$2 work=$1.work
	shift 2
	rm -rf "$work"
	mkdir -p "$work"
	if [ "$platform" = "$own" ]; then
		version=$(engine_version "$@") || {
			ci/base-image.sh
			NAMES="$*" TAG=$from PLATFORMS=native ci/images.sh
			version=$(engine_version "$@")
		}
		for image in "$@"; do dk image inspect --format '{{.Id}}' "$registry/$image:$from"; done >"$work/id"
		[ "$version" = "$(source_version && printf %s "$version")" ] ||
			say "    the images of $platform are of version $version, as this engine has them"
		save() { for image in "$@"; do save_image "$registry/$image:$from" "$work/$image.tar"; done; }
	else
		ci/base-image.sh
		NAMES="$*" ARCHIVES=$work PLATFORMS=$platform TAG=$from ci/images.sh --loadable
		source_version
		for image in "$@"; do tar -xOf "$work/$image.tar" manifest.json; done >"$work/id"
		save() { :; }
	fi
	tag=$(as_tag "$version" "$work/id")
	echo "$tag" >>"$work/id"
	if ! cmp -s "$work/id" "$to.id" || [ ! -e "$to.tar" ]; then
		save "$@"
		for image in "$@"; do set -- "$@" "$work/$image.tar"; shift; done
		rm -f "$to.id"
		ci/image/loadable.sh "$to.tar" "$tag" "$@"
		echo "$tag" >"$to.tag"
		mv "$work/id" "$to.id"
	fi
	rm -rf "$work"
}

# What can be known before anything is made.
for name in "$@"; do
	case $name in
	broker) folder=$provision/broker ;;
	*) folder=$provision/nodes/$name ;;
	esac
	as_owner stat "$folder/env" >/dev/null 2>&1 ||
		fail "$name: $folder has no identity: make provision, or for one node more make provision-node NODE=$name"
	[ "$name" = broker ] || as_owner grep -qx state=active "$provision/identities/$name" ||
		fail "$name is revoked: a new board gets another name (make provision-node)"
done

fresh=' '
for name in "$@"; do
	case $name in
	broker) kind=broker images='ingest retention-pruner broker' platform=$(one_platform "${PLATFORM:-native}") ;;
	*) kind=node images='sampler publisher broker' platform=$(platform_of "$name") ;;
	esac
	archive=$archives/$kind-$(printf '%s' "$platform" | tr / -)
	case $fresh in
	*" $archive "*) ;;
	*)
		# shellcheck disable=SC2086 # a list of names
		make_archive "$archive" "$platform" $images
		fresh="$fresh$archive "
		;;
	esac
	as_owner /bin/sh ci/image/pack-bundle.sh "$provision" "$name" "$kind" "$platform" \
		"$registry" "$(cat "$archive.tag")" "$archive.tar"
	say "    $provision/$name.tar ($platform, $(cat "$archive.tag"))"
done
