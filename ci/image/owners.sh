#!/bin/sh
# Whose each file of the images is, to be run where collect.sh ran:
#
#   owners.sh OUT COLLECTED DEBS ARCH
#
#   OUT/files       one line a file: image, path, SHA-1, SHA-256, package (dewpoint for our own)
#   OUT/packages    one line a package: name, version, architecture, source and its version
#   OUT/copyright   what each package says of its copyright, by name
#
# COLLECTED is where collect.sh laid the images out; DEBS are the packages that were unpacked
# and not installed. Fails when a file is nobody's. Columns are separated by tabs.
set -eu

out=$1 collected=$2 debs=$3 arch=$4
tab=$(printf '\t')
mkdir -p "$out/copyright"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "owners.sh: $*" >&2
	exit 1
}

# The files of unpacked packages: path, package.
for deb in "$debs"/*.deb; do
	name=$(dpkg-deb -f "$deb" Package)
	dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -n "s|^\./\(.*[^/]\)$|/\1$tab$name|p"
done >"$work/unpacked"

# The paths of an image that no package has: made by collect.sh, or ours.
own() {
	case $1 in
	/etc/passwd | /etc/group | /etc/nsswitch.conf | /usr/lib/ssl/cert.pem) ;;
	/service | /usr/share/dewpoint/boards/*.json | /mosquitto/config/mosquitto.conf) ;;
	/usr/lib/mosquitto/*) [ -f "/plugins/${1#/usr/lib/mosquitto/}" ] ;;
	*) [ -f "/programs/${1#/usr/bin/}" ] ;;
	esac
}

# owner PATH: the package that it came from.
owner() {
	if own "$1"; then
		echo dewpoint
		return
	fi
	case $1 in
	# collect.sh has moved it to where it is the same for every architecture.
	/usr/lib/mosquitto/dynamic_security.so)
		echo mosquitto
		return
		;;
	# Put together by ca-certificates from the certificates that it installs.
	/etc/ssl/certs/ca-certificates.crt)
		echo ca-certificates
		return
		;;
	esac
	found=$(awk -F "$tab" -v path="$1" '$1 == path { print $2; exit }' "$work/unpacked")
	# dpkg may know a file of /lib as one of /usr/lib, or the other way round.
	for path in "$1" "/usr$1" "${1#/usr}"; do
		[ -z "$found" ] || break
		found=$(dpkg-query -S "$path" 2>/dev/null | sed -n "s/^\([a-z0-9][a-z0-9.+-]*\)\(:$arch\)\{0,1\}: .*/\1/p" | head -n 1)
	done
	[ -n "$found" ] || fail "no package has $1, and it is not ours"
	echo "$found"
}

for program in "$collected"/program/*; do
	image=$(basename "$program")
	for root in "$collected/base" "$collected/libraries/$image" "$program"; do
		find "$root" ! -type d | sort | while read -r file; do
			path=${file#"$root"}
			package=$(owner "$path")
			if [ -L "$file" ]; then
				sums="-$tab-"
			else
				sums=$(sha1sum "$file" | cut -d ' ' -f 1)$tab$(sha256sum "$file" | cut -d ' ' -f 1)
			fi
			echo "$image$tab$path$tab$sums$tab$package"
		done
	done
done >"$out/files"

# copyright_of DEB NAME: its copyright file; that of another package where it points there.
copyright_of() {
	link=$(dpkg-deb -c "$1" | sed -n "s|^l.* \./usr/share/doc/$2 -> \(.*\)$|\1|p")
	if [ -n "$link" ]; then
		other=$(basename "$link")
		download "$other:$3"
		copyright_of "$work/$other.deb" "$other" "$3"
	else
		dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/share/doc/$2/copyright" ||
			fail "$2 has no copyright file"
	fi
}

# download NAME:ARCH[=VERSION] to NAME.deb
download() {
	name=${1%%:*}
	[ -e "$work/$name.deb" ] || (
		mkdir "$work/get" && cd "$work/get" &&
			apt-get -qq -o APT::Sandbox::User=root download "$1" &&
			mv ./*.deb "$work/$name.deb" && rmdir "$work/get"
	)
}

cut -f 5 "$out/files" | sort -u | grep -vx dewpoint | while read -r name; do
	unpacked=$(find "$debs" -name "${name}_*.deb")
	if [ -n "$unpacked" ]; then
		cp "$unpacked" "$work/$name.deb"
	else
		# shellcheck disable=SC2016 # dpkg's own variables
		known=$(dpkg-query -W -f '${Package}:${Architecture}=${Version}\n' "$name:$arch" 2>/dev/null ||
			dpkg-query -W -f '${Package}:${Architecture}=${Version}\n' "$name")
		download "$known"
	fi
	field() { dpkg-deb -f "$work/$name.deb" "$1"; }
	source=$(field Source)
	version=$(field Version)
	case $source in
	*\(*) source_version=${source#*\(} source_version=${source_version%)} source=${source%% *} ;;
	*) source_version=$version source=${source:-$name} ;;
	esac
	echo "$name$tab$version$tab$(field Architecture)$tab$source$tab$source_version"
	copyright_of "$work/$name.deb" "$name" "$(field Architecture)" >"$out/copyright/$name"
done >"$out/packages"
[ -s "$out/packages" ] || fail "no package has a file of the images"
