#!/bin/sh
# Let this machine's kernel run programs for arm64 and arm/v7 under QEMU, until this is
# stopped. Runs as root in a container of its own (Dockerfile.multi, stage foreign); says
# `ready` when it is so. What is registered already stays as it is.
set -eu
registry=/proc/sys/fs/binfmt_misc
[ -e "$registry/register" ] || mount -t binfmt_misc binfmt_misc "$registry" || {
	echo "emulation.sh: this kernel has no binfmt_misc, so it cannot run another architecture's programs" >&2
	exit 1
}
added=
for name in qemu-aarch64 qemu-arm; do
	[ ! -e "$registry/$name" ] || continue
	# Its flag F has the kernel open the emulator now, so that no container needs to have it.
	cat "/usr/share/qemu/binfmt.d/$name.conf" >"$registry/register"
	added="$added $name"
done
off() {
	for name in $added; do echo -1 >"$registry/$name"; done
	exit 0
}
trap off TERM INT
echo ready
while :; do
	sleep 3600 &
	wait $!
done
