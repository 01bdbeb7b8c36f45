#!/bin/sh
# Build the services for this machine with its own compiler and libraries: no Docker.
# For Debian 13 and Raspberry Pi OS (trixie). Installs nothing: what is missing is said,
# with the command that installs it. Programs land in build/native/bin.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

# Packages that the build needs, as ci/build.mk names them to pkg-config, and as Debian does.
libraries='libuv:libuv1-dev libmosquitto:libmosquitto-dev sqlite3:libsqlite3-dev
	yyjson:libyyjson-dev libgpiod:libgpiod-dev jansson:libjansson-dev
	libcrypto:libssl-dev libssl:libssl-dev libpq:libpq-dev zlib:zlib1g-dev'

too_old() {
	fail "libgpiod here is $1 and Dewpoint needs 2, which Debian 13 and Raspberry Pi OS (trixie) have: upgrade this machine to trixie, or run Dewpoint in containers (make up, compose/README.md), which bring their own"
}

# What apt would install of libgpiod-dev; nothing where there is no apt.
offered=
if command -v apt-cache >/dev/null 2>&1; then
	offered=$(LC_ALL=C apt-cache policy libgpiod-dev 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }')
fi

have_pkgconf=no
if command -v pkg-config >/dev/null 2>&1; then have_pkgconf=yes; fi
if [ "$have_pkgconf" = yes ] && pkg-config --exists libgpiod; then
	pkg-config --atleast-version=2 libgpiod || too_old "$(pkg-config --modversion libgpiod)"
else
	case $offered in 0* | 1*) too_old "$offered" ;; esac
fi

missing=
# Of the broker's plugin.
[ -e /usr/include/mosquitto_plugin.h ] || missing="$missing mosquitto-dev"
command -v gcc >/dev/null 2>&1 || missing="$missing gcc"
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
command -v make >/dev/null 2>&1 || missing="$missing make"
[ "$have_pkgconf" = yes ] || missing="$missing pkgconf"
for library in $libraries; do
	if [ "$have_pkgconf" = no ] || ! pkg-config --exists "${library%:*}"; then
		missing="$missing ${library#*:}"
	fi
done
if [ -n "$missing" ]; then
	missing=$(printf '%s\n' "$missing" | xargs -n 1 | awk '!seen[$0]++' | xargs)
	command -v apt-get >/dev/null 2>&1 ||
		fail "missing here, in Debian's names: $missing. This machine has no apt-get: install what corresponds to them, then run this again"
	fail "missing here: $missing. Install with: apt-get install --no-install-recommends $missing"
fi

source_version
if [ -z "$epoch" ]; then
	epoch=$(find common services -type f -printf '%T@\n' | sort -n | tail -n 1 | cut -d. -f1)
fi

say "==> Building Dewpoint $version with $(gcc -dumpmachine)-gcc $(gcc -dumpfullversion) into build/native"
make -s -j "${JOBS:-$(nproc)}" -f ci/build.mk binaries plugins OUT=build/native \
	VERSION="$version" SOURCE_DATE_EPOCH="$epoch" ||
	fail "the build failed (above)"
say "==> build/native/bin has: $(find build/native/bin -type f -printf '%f\n' | LC_ALL=C sort | xargs)"
say "    Next, as root: make install"
