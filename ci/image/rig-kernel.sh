#!/bin/sh
# Put a kernel with simulated GPIO chips into a folder, a step of the image build:
#
#   rig-kernel.sh OUT
#
#   OUT/vmlinuz        Debian's kernel for the target, unchanged, whatever is current
#   OUT/modules/*.ko   what the rig loads, in the order of the names
#   OUT/version
#
# Debian builds no gpio-sim: it is compiled here from linux-source, against the headers
# of that same kernel, with irq_sim, which it needs and which no module could reach.
# Nothing is installed but unpacked: an installed kernel would make itself an initrd.
set -eu

out=$1
eval "$(target)"

fail() {
	echo "rig-kernel.sh: $*" >&2
	exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out/modules" "$work/image" "$work/gpio-sim"
cd "$work"

version=$(apt-cache depends --no-recommends --no-suggests "linux-image-$DEB_ARCH:$DEB_ARCH" |
	sed -n 's/.*Depends: linux-image-\([^:]*\).*/\1/p' | head -n 1)
[ -n "$version" ] || fail "linux-image-$DEB_ARCH names no kernel"
series=$(echo "$version" | cut -d . -f 1,2)
flavourless=${version%-"$DEB_ARCH"}
apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends libelf1t64 xz-utils
apt-get -qq -o APT::Sandbox::User=root download \
	"linux-image-$version:$DEB_ARCH" "linux-headers-$version:$DEB_ARCH" \
	"linux-headers-$flavourless-common" "linux-kbuild-$flavourless" "linux-source-$series"

for deb in linux-headers-*.deb linux-kbuild-*.deb; do dpkg-deb -x "$deb" /; done
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x -C image
dpkg-deb --fsys-tarfile linux-source-*.deb |
	tar -xO "./usr/src/linux-source-$series.tar.xz" |
	tar -xJ -C gpio-sim --strip-components=1 \
		"linux-source-$series/drivers/gpio/gpio-sim.c" \
		"linux-source-$series/kernel/irq/irq_sim.c"

# A module may not call irq_to_desc(); generic_handle_irq() finds the descriptor itself.
cd gpio-sim
mv kernel/irq/irq_sim.c .
mv drivers/gpio/gpio-sim.c gpio-sim-main.c
grep -q 'handle_simple_irq(irq_to_desc(irqnum))' irq_sim.c ||
	fail "irq_sim.c of $version raises interrupts in another way than was known here"
sed -i 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' irq_sim.c
printf '%s\n' 'obj-m := gpio-sim.o' 'gpio-sim-y := gpio-sim-main.o irq_sim.o' >Kbuild
make -s -C "/usr/src/linux-headers-$version" M="$PWD" CROSS_COMPILE="$TRIPLET-" \
	CONFIG_DEBUG_INFO_BTF_MODULES= modules
cd ..

cp image/boot/vmlinuz-* "$out/vmlinuz"
xz -dc "$(find image -name configfs.ko.xz)" >"$out/modules/1-configfs.ko"
"$TRIPLET-strip" -g -o "$out/modules/2-gpio-sim.ko" gpio-sim/gpio-sim.ko
echo "$version" >"$out/version"
