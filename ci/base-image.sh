#!/bin/sh
# Make sure that debian:trixie-slim is here: pulled where a registry can be
# reached, otherwise made with debootstrap from this machine's own Debian mirror
# under the same name.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

image=debian:trixie-slim

if dk image inspect "$image" >/dev/null 2>&1; then exit 0; fi

say "==> The base image $image is not here: asking the registry"
# Asking for the manifest first keeps an unreachable registry from costing minutes.
# shellcheck disable=SC2086 # "sudo -E" or nothing
if timeout 15 $docker_sudo "$DOCKER" manifest inspect "$image" >/dev/null 2>&1 &&
	timeout 300 $docker_sudo "$DOCKER" pull -q "$image"; then
	exit 0
fi

command -v apt-get >/dev/null 2>&1 ||
	fail "no registry in reach, and this is not Debian: load $image by hand (docker load)"

# A list of mirrors in a file of the host (cloud images have one) is its first line.
plain_uris() {
	while IFS= read -r line; do
		case $line in
		URIs:*mirror+file:*)
			line="URIs: $(grep -m 1 -o '^https\{0,1\}://[^[:space:]]*' "${line#*mirror+file:}")" ;;
		esac
		printf '%s\n' "$line"
	done
}

# The host's mirror: its own trixie entry or that of its own release.
own=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
sources=$(apt_source trixie trixie "$own" stable oldstable | plain_uris)
[ -n "$sources" ] || fail "no registry in reach, and /etc/apt names no Debian mirror to build $image from"
field() { printf '%s\n' "$sources" | awk -v f="$1:" 'tolower($1) == tolower(f) { print $2; exit }'; }
mirror=$(field URIs)
key=$(field Signed-By)

say "==> No registry in reach: making $image with debootstrap from this machine's mirror (about a minute)"
if ! command -v debootstrap >/dev/null 2>&1 && [ ! -x /usr/sbin/debootstrap ]; then
	say "    Missing here: debootstrap. Installing it with apt-get"
	as_root apt-get -qq update || fail "apt-get update failed (above)"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
		install --no-install-recommends debootstrap >/dev/null
fi

root=$(mktemp -d)
trap 'as_root rm -rf "$root"' EXIT
trap 'exit 130' INT TERM
include=
case $mirror in https:*) include=--include=ca-certificates ;; esac
keyring=
case $key in /*) keyring=--keyring=$key ;; esac
# shellcheck disable=SC2086 # options that may be absent
as_root env PATH="/usr/sbin:/sbin:$PATH" debootstrap --variant=minbase $include $keyring \
	trixie "$root/image" "$mirror" >"$root/log" 2>&1 || {
	tail -n 5 "$root/log" >&2
	fail "debootstrap could not make trixie from $mirror (above)"
}

# What apt in the image reads: the same mirror, also for updates and security.
{
	printf '%s\n\n' "$sources" | sed 's/^Suites: .*/Suites: trixie trixie-updates/'
	apt_source trixie-security trixie-security "$own-security" stable-security oldstable-security |
		plain_uris
} >"$root/sources"
# What the host had to tell apt about reaching that mirror holds in the image too.
apt-config dump 2>/dev/null |
	grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy) "' >"$root/apt.conf" || :
# shellcheck disable=SC2016 # expanded by the inner shell
as_root sh -eu -c '
	cd "$1/image"
	rm -f etc/apt/sources.list
	install -m 644 "$1/sources" etc/apt/sources.list.d/debian.sources
	[ ! -s "$1/apt.conf" ] || install -m 644 "$1/apt.conf" etc/apt/apt.conf.d/90host
	case $2 in /*) [ -e ".$2" ] || install -D -m 644 "$2" ".$2" ;; esac
	printf "path-exclude /usr/share/doc/*\npath-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\n" \
		>etc/dpkg/dpkg.cfg.d/docker
	printf "APT::Install-Recommends \"0\";\nAcquire::Languages \"none\";\n" >etc/apt/apt.conf.d/docker
	rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/*.log usr/share/doc/* usr/share/man/* usr/share/locale/*
	: >etc/hostname
' sh "$root" "$key"
# shellcheck disable=SC2086
as_root tar -C "$root/image" --numeric-owner -c . |
	dk import --change 'CMD ["bash"]' - "$image" >/dev/null
say "==> $image is ready"
