#!/bin/sh
# Build the images: one for every service (each folder of services/ with a main.c), mosquitto
# (broker), sqlite3 (tool) and what makes identities (provision), named REGISTRY/<name>:TAG.
#
#   ci/images.sh              into this machine's engine, as quickly as possible
#   ci/images.sh --packed     as small as possible (pack.py), into the engine and as OCI
#                             archives into ARCHIVES; what push.sh pushes
#   ci/images.sh --loadable   of one platform, into ARCHIVES only, uncompressed, as any engine
#                             loads them; what bundle.sh packs
#
# PLATFORMS   native (this machine's; the default), all, or a comma-separated list
# REGISTRY    localhost/dewpoint; TAG: latest
# NAMES       which images, with spaces between; all unless set
# ARCHIVES    build/images
# VERSION, REVISION, SOURCE_DATE_EPOCH, SOURCE    asked from git unless set
# BASE        another image of Debian 13 than debian:trixie-slim
# PROVENANCE=1 adds BuildKit's statement of how each was built; NO_CACHE=1 builds from nothing;
# LOAD=0 leaves the engine as it is
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

archives='' packed=''
case ${1:-} in
'') ;;
--packed) archives=${ARCHIVES:-build/images} packed=1 ;;
--loadable) archives=${ARCHIVES:-build/images} ;;
*) fail "$1: not an option; known are --packed and --loadable" ;;
esac
platforms=$(platform_list "${PLATFORMS:-native}")
if [ -n "$archives" ] || [ "${platforms#*,}" != "$platforms" ]; then
	containerd_store || fail "$needs_containerd_store"
fi

source_version
registry=${REGISTRY:-localhost/dewpoint}
tag=${TAG:-latest}

# json NAME VALUE: a member of an object, or nothing where there is no value.
json() { [ -z "$2" ] || printf ', "%s": "%s"' "$1" "$2"; }

targets=
names=${NAMES:-$(image_names | tr "\n" " " | sed "s/ $//")}
for name in $names; do
	case $name in
	broker | tool | provision) stage=$name service= ;;
	*) stage=service service="\"SERVICE\": \"$name\"" ;;
	esac
	to=type=docker
	[ -z "$archives" ] || {
		[ -z "$packed" ] || to=type=oci
		to="$to,dest=$archives/$name.tar,compression=uncompressed,force-compression=true"
	}
	targets="$targets, \"$name\": {\"inherits\": [\"all\"], \"target\": \"$stage\",
		\"tags\": [\"$registry/$name:$tag\"], \"output\": [\"$to\"], \"args\": {$service}}"
done
args="\"VERSION\": \"$version\"$(json REVISION "$revision")$(json SOURCE_DATE_EPOCH "$epoch")$(json BASE "${BASE:-}")"
labels=
[ -z "$source" ] || labels=", \"labels\": {\"org.opencontainers.image.source\": \"$source\"}"

say "==> Building the images of $names (version $version; $platforms)"
log=$(mktemp)
trap 'rm -f "$log" "$log.json"' EXIT
printf '{"group": {"default": {"targets": ["%s"]}}, "target": {"all": {"context": ".",
	"dockerfile": "Dockerfile.multi", "platforms": ["%s"], "args": {%s}%s}%s}}\n' \
	"$(printf '%s' "$names" | sed 's/ /", "/g')" "$(printf '%s' "$platforms" | sed 's/,/", "/g')" \
	"$args" "$labels" "$targets" >"$log.json"
provenance=--provenance=false
[ -z "${PROVENANCE:-}" ] || provenance=--provenance=mode=max
[ -z "$archives" ] || mkdir -p "$archives"
# bake OPTION... Once more where the engine has tidied a layer away that an image beside was
# about to use: several share most of theirs.
bake() {
	bake_once "$@" || {
		grep -q 'parent snapshot .* does not exist' "$log" && bake_once "$@"
	}
}
bake_once() { dk buildx bake --progress plain "$provenance" -f "$log.json" "$@" >"$log" 2>&1; }

# Platform by platform first: where one cannot be built, for example because its package
# index is broken, the others still are.
good='' bad=''
no_cache=${NO_CACHE:+--no-cache}
if [ "${platforms#*,}" != "$platforms" ]; then
	for platform in $(printf '%s' "$platforms" | tr , ' '); do
		if bake ${no_cache:+"$no_cache"} --set "*.platform=$platform" --set "*.output=type=cacheonly"; then
			good=$good${good:+,}$platform
		else
			tail -n 20 "$log" >&2
			say "    $platform failed (above)" >&2
			bad="$bad $platform"
		fi
	done
	[ -n "$good" ] || fail "the image build failed on every platform (above)"
	# It has just been built from nothing.
	no_cache=
	set --
	if [ -n "$bad" ]; then
		for platform in $(printf '%s' "$good" | tr , ' '); do set -- "$@" --set "*.platform=$platform"; done
	fi
	bake "$@" || {
		tail -n 40 "$log" >&2
		fail "the image build failed (above)"
	}
elif ! bake ${no_cache:+"$no_cache"}; then
	tail -n 40 "$log" >&2
	fail "the image build failed (above)"
fi
finish() { [ -z "$bad" ] || fail "no images for$bad (above); there are those for $good"; }
if [ -n "$packed" ]; then
	ci/dev.sh python3 ci/image/pack.py "$archives"
	[ "${LOAD:-1}" = 1 ] || {
		finish
		exit 0
	}
	for name in $names; do dk load -q -i "$archives/$name.tar" >/dev/null; done
fi
finish
