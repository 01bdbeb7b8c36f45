#!/bin/sh
# Run a command in the toolchain image, in this folder, as this user:
#   ci/dev.sh [--docker | --devices] COMMAND...
# --docker lets the command use the host's engine; with --devices it is root, and may mount
# loop devices. TOOLCHAIN=bench: see dev-image.sh.
# CPU_SHARES=N of 1024: as much of the processors where others want them as well.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

here=$(pwd)
image=$DEV_IMAGE
# The repository is at its own path, so that paths mean the same inside and out.
# ThreadSanitizer switches address randomisation off, which seccomp forbids; the fault
# tests mount file systems in a namespace of their own, which AppArmor forbids as well.
# /var/tmp, where benchmarks put their databases, is a volume as the services have one.
set -- "$image" "$@"
options="--rm --init --security-opt seccomp=unconfined
	--security-opt apparmor=unconfined --user $(id -u):$(id -g) -v /var/tmp"
if [ "${2:-}" = --docker ]; then
	shift 2
	set -- "$image" "$@"
	options="$options -v /var/run/docker.sock:/var/run/docker.sock --network host
		--group-add $(stat -c %g /var/run/docker.sock)"
fi
options="$options ${CPU_SHARES:+--cpu-shares $CPU_SHARES}"
if [ "${2:-}" = --devices ]; then
	shift 2
	set -- "$image" "$@"
	options="$options --privileged --user 0:0 -v /dev:/dev"
fi
if [ -t 0 ] && [ -t 1 ]; then options="$options -it"; fi
for name in REGISTRY TAG PLATFORMS DEV_IMAGE BIN GATHER OPEN; do options="$options -e $name"; done
# shellcheck disable=SC2086 # a list of options
exec $docker_sudo "$DOCKER" run $options -v "$here:$here" -w "$here" "$@"
