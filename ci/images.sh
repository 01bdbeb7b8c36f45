#!/bin/sh
# Build the image of every service (each folder of services/ with a main.c), of
# mosquitto (broker) and of sqlite3 (tool), named REGISTRY/<name>:TAG.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

registry=${REGISTRY:-localhost/dewpoint} tag=${TAG:-latest}
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || :)}

args="\"VERSION\": \"$version\""
[ -z "$epoch" ] || args="$args, \"SOURCE_DATE_EPOCH\": \"$epoch\""
names=''
targets=''
# target NAME STAGE [SERVICE]
target() {
	names="$names $1"
	targets="$targets, \"$1\": {\"inherits\": [\"all\"], \"target\": \"$2\",
		\"tags\": [\"$registry/$1:$tag\"]${3:+, \"args\": {\"SERVICE\": \"$3\"\}}}"
}
for main in services/*/main.c; do
	[ -e "$main" ] || fail "no service found: services/*/main.c"
	name=$(basename "$(dirname "$main")")
	target "$name" service "$name"
done
target broker broker
target tool tool

say "==> Building the images of$names (version $version)"
group=$(printf '%s' "$names" | sed -e 's/^ //' -e 's/ /", "/g')
log=$(mktemp)
trap 'rm -f "$log"' EXIT
printf '{"group": {"default": {"targets": ["%s"]}},
	"target": {"all": {"context": ".", "dockerfile": "Dockerfile.multi", "args": {%s}}%s}}\n' \
	"$group" "$args" "$targets" >"$log.json"
trap 'rm -f "$log" "$log.json"' EXIT
if ! dk buildx bake --progress plain --provenance=false -f "$log.json" --load >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	fail "the image build failed (above)"
fi
# The compressed size is what a board pulls; layers that images share come once.
case $(dk info --format '{{.DriverStatus}}') in
*io.containerd.snapshotter*) ;;
*) exit 0 ;; # this store keeps its layers uncompressed only
esac
for name in $names; do
	dk image save "$registry/$name:$tag" | tar -xO --wildcards 'blobs/sha256/*' 2>/dev/null | wc -c |
		awk -v name="$registry/$name:$tag" '{ printf "    %-40s %5.1f MB compressed\n", name, $1 / 1e6 }'
done
