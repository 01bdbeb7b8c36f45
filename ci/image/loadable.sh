#!/bin/sh
# One archive of several images, as `docker load` of every engine since 20.10 takes it: layers
# compressed by gzip (zstd takes Docker 23), each of them once, and the images listed both
# as Docker does (manifest.json) and as OCI (index.json).
#
#   loadable.sh OUT TAG ARCHIVE...
#
# An ARCHIVE is what `docker save` or images.sh --loadable wrote. All images get TAG. The
# same images give the same bytes.
set -eu
fail() {
	printf 'loadable.sh: %s\n' "$*" >&2
	exit 1
}

out=$1 tag=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
blobs=$work/out/blobs/sha256
mkdir -p "$blobs"
: >"$work/docker"
: >"$work/oci"

# keep FILE: it becomes a blob; its digest.
keep() {
	digest=$(sha256sum <"$1" | cut -d ' ' -f 1)
	mv "$1" "$blobs/$digest"
	chmod 644 "$blobs/$digest"
	printf '%s\n' "$digest"
}

# descriptor TYPE DIGEST
descriptor() {
	printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' \
		"$1" "$2" "$(stat -c %s "$blobs/$2")"
}

# plain LAYER: the layer on standard output, not compressed.
plain() {
	case $(od -A n -t x1 -N 4 "$1" | tr -d ' ') in
	1f8b*) gzip -dc "$1" ;;
	28b52ffd)
		command -v zstd >/dev/null 2>&1 ||
			fail "the images here are packed with zstd, which is missing on this machine: apt-get install zstd"
		zstd -dcq "$1"
		;;
	*) cat "$1" ;;
	esac
}

# layer PATH: packed, each only once however often it is named; its digest.
layer() {
	# By a file: a pipe would hide that it could not be unpacked.
	plain "$1" >"$work/plain" || fail "$1 cannot be unpacked"
	id=$(sha256sum <"$work/plain" | cut -d ' ' -f 1)
	if [ ! -e "$work/layer-$id" ]; then
		gzip -9n <"$work/plain" >"$work/packed"
		keep "$work/packed" >"$work/layer-$id.new"
		mv "$work/layer-$id.new" "$work/layer-$id"
	fi
	cat "$work/layer-$id"
}

# image CONFIG REPOSITORY LAYER...: paths below $in.
image() {
	config=$1 repository=$2
	shift 2
	docker_layers='' oci_layers=''
	for path in "$@"; do
		packed=$(layer "$in/$path")
		docker_layers=$docker_layers${docker_layers:+,}\"blobs/sha256/$packed\"
		oci_layers=$oci_layers${oci_layers:+,}$(descriptor layer.v1.tar+gzip "$packed")
	done
	cp "$in/$config" "$work/config"
	config=$(keep "$work/config")
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
		"$(descriptor config.v1+json "$config")" "$oci_layers" >"$work/manifest"
	manifest=$(descriptor manifest.v1+json "$(keep "$work/manifest")")
	printf '{"Config":"blobs/sha256/%s","RepoTags":["%s:%s"],"Layers":[%s]}\n' \
		"$config" "$repository" "$tag" "$docker_layers" >>"$work/docker"
	printf '%s,"annotations":{"io.containerd.image.name":"%s:%s","org.opencontainers.image.ref.name":"%s"}}\n' \
		"${manifest%\}}" "$repository" "$tag" "$tag" >>"$work/oci"
}

for archive in "$@"; do
	in=$work/in
	rm -rf "$in"
	mkdir "$in"
	tar -C "$in" -xf "$archive"
	[ -s "$in/manifest.json" ] || fail "$archive has no manifest.json: not what docker save writes"
	# An image a line.
	sed 's/},{"Config"/}\n{"Config"/g' "$in/manifest.json" >"$work/images"
	while IFS= read -r line || [ -n "$line" ]; do
		printf '%s\n' "$line" >"$work/image"
		config=$(sed -n 's/.*"Config":"\([^"]*\)".*/\1/p' "$work/image")
		repository=$(sed -n 's/.*"RepoTags":\["\([^"]*\):[^:"]*".*/\1/p' "$work/image")
		layers=$(sed -n 's/.*"Layers":\[\([^]]*\)\].*/\1/p' "$work/image" | tr -d '"' | tr , ' ')
		case $config,$repository,$layers in
		,* | *,,* | *,) fail "$archive: its manifest.json cannot be read: $line" ;;
		esac
		# shellcheck disable=SC2086 # a list of paths
		image "$config" "$repository" $layers
	done <"$work/images"
done

# list FILE: its lines, separated by commas.
list() { tr '\n' , <"$1" | sed 's/,$//'; }
printf '[%s]\n' "$(list "$work/docker")" >"$work/out/manifest.json"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}\n' \
	"$(list "$work/oci")" >"$work/out/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/out/oci-layout"
tar -C "$work/out" --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -cf "$out.new" \
	oci-layout index.json manifest.json blobs
mv "$out.new" "$out"
