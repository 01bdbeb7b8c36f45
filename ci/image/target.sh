#!/bin/sh
# Print, for eval, Debian's names of the platform TARGETARCH/TARGETVARIANT.
set -eu
arch=${TARGETARCH:-$(dpkg --print-architecture)}
case $arch/${TARGETVARIANT:-} in
amd64/*) deb=amd64 triplet=x86_64-linux-gnu ;;
arm64/*) deb=arm64 triplet=aarch64-linux-gnu ;;
arm/v7 | arm/ | armhf/*) deb=armhf triplet=arm-linux-gnueabihf ;;
*)
	echo "target.sh: no Debian names for $arch/${TARGETVARIANT:-}: known are amd64, arm64 and arm/v7" >&2
	exit 1
	;;
esac
echo "DEB_ARCH=$deb TRIPLET=$triplet GCC_SUFFIX=$(echo "$triplet" | tr _ -)"
