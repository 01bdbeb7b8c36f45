#!/bin/sh
# Lay out the files of the images, to be copied into empty ones:
#
#   collect.sh OUT TRIPLET PROGRAMS PLUGINS EXTRACTED ASSETS
#
#   OUT/base             what every service needs: libraries, CA bundle, accounts
#   OUT/libraries/NAME   what image NAME needs besides
#   OUT/program/NAME     its programs, and the files of ASSETS/NAME
#
# NAME is a program of the folder PROGRAMS, or broker (mosquitto), tool (sqlite3) or provision
# (a shell, openssl), which come from EXTRACTED, unpacked Debian packages. The broker has its
# plugins in /usr/lib/mosquitto whatever the architecture: dynamic_security.so from EXTRACTED, and
# those of the folder PLUGINS.
#
# Libraries are found by walking what the ELF files name (NEEDED and the loader),
# with their machine checked, so nothing of the target has to run here. All times and modes
# are fixed, so that what has not changed is the same layer again.
set -eu

out=$1 triplet=$2 programs=$3 plugins=$4 extracted=$5 assets=$6
libdir=/usr/lib/$triplet
uid=10001 broker_uid=1883

fail() {
	echo "collect.sh: $*" >&2
	exit 1
}

machine() { readelf -h "$1" | awk '/^ *(Class|Machine):/' | tr -d '\n'; }
interpreter() { readelf -l "$1" | sed -n 's/.*program interpreter: \(.*\)\]/\1/p'; }
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# closure PROGRAM: one path a line, the loader and every library, sorted.
closure() {
	loader=$(interpreter "$1")
	[ -n "$loader" ] || fail "$1 names no loader: is it a dynamically linked program?"
	echo "$loader"
	# glibc opens libgcc_s when a thread is cancelled; no file names it.
	libraries "$1" libgcc_s.so.1
}

# libraries FILE [NAME...]: the paths of what it needs, directly or not, and of these.
libraries() {
	wanted=$(machine "$1")
	queue=$(needed "$1" | tr '\n' ' ')$(shift && echo "$*") seen=' '
	while [ -n "${queue# }" ]; do
		next=
		for name in $queue; do
			case $seen in *" $name "*) continue ;; esac
			seen="$seen$name "
			case $name in ld-linux*) continue ;; esac
			file=$libdir/$name
			[ -e "$file" ] || fail "$1 needs $name, which is not in $libdir"
			[ "$(machine "$file")" = "$wanted" ] || fail "$file is for another machine than $1"
			echo "$file"
			next="$next $(needed "$file" | tr '\n' ' ')"
		done
		queue=$next
	done | sort
}

# put ROOT FILE...: copy to the same path below ROOT, links followed.
put() {
	root=$1
	shift
	for file; do
		mkdir -p "$root$(dirname "$file")"
		cp -Lp "$file" "$root$file"
	done
}

# image NAME FROM PROGRAM...: lay out what the base does not have; the programs are below
# FROM as they are to be in the image.
image() {
	name=$1 from=$2
	shift 2
	mkdir -p "$out/libraries/$name" "$out/program/$name"
	for program; do
		mkdir -p "$out/program/$name$(dirname "$program")"
		cp "$from$program" "$out/program/$name$program"
		for file in $(closure "$from$program"); do
			[ -e "$out/base$file" ] || put "$out/libraries/$name" "$file"
		done
	done
	[ ! -d "$assets/$name" ] || cp -r "$assets/$name/." "$out/program/$name/"
}

# plugin FILE NAME: what the broker loads as /usr/lib/mosquitto/NAME.so.
plugin() {
	[ -e "$1" ] || fail "no plugin $1"
	mkdir -p "$out/program/broker/usr/lib/mosquitto"
	cp "$1" "$out/program/broker/usr/lib/mosquitto/$2.so"
	"$triplet-strip" --strip-unneeded "$out/program/broker/usr/lib/mosquitto/$2.so"
	for file in $(libraries "$1"); do
		[ -e "$out/base$file" ] || put "$out/libraries/broker" "$file"
	done
}

lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
mkdir -p "$lists/usr"
cp -r "$programs" "$lists/usr/bin"
count=0
for program in "$lists"/usr/bin/*; do
	[ -x "$program" ] || fail "no program in $programs: services/*/main.c were not built"
	"$triplet-strip" "$program"
	closure "$program" >"$lists/one"
	cat "$lists/one" >>"$lists/all"
	count=$((count + 1))
done

# The base: the libraries that all services name.
sort "$lists/all" | uniq -c | awk -v n="$count" '$1 == n { print $2 }' >"$lists/base"
while read -r file; do put "$out/base" "$file"; done <"$lists/base"
put "$out/base" /etc/ssl/certs/ca-certificates.crt
mkdir -p "$out/base/usr/lib/ssl" "$out/base/tmp" "$out/base/etc" "$out/base/data" "$out/base/run/dewpoint"
ln -s /etc/ssl/certs/ca-certificates.crt "$out/base/usr/lib/ssl/cert.pem"
echo 'hosts: files dns' >"$out/base/etc/nsswitch.conf"
cat >"$out/base/etc/passwd" <<-END
	root:x:0:0:root:/:/nonexistent
	mosquitto:x:$broker_uid:$broker_uid:mosquitto:/mosquitto:/nonexistent
	dewpoint:x:$uid:$uid:dewpoint:/data:/nonexistent
END
cat >"$out/base/etc/group" <<-END
	root:x:0:
	mosquitto:x:$broker_uid:
	dewpoint:x:$uid:
END

# An entry point cannot name a build argument, so every service is reached as /service too.
for program in "$programs"/*; do
	name=$(basename "$program")
	image "$name" "$lists" "/usr/bin/$name"
	ln -s "usr/bin/$name" "$out/program/$name/service"
done
# mosquitto_sub is there for the health check.
image broker "$extracted" /usr/sbin/mosquitto /usr/bin/mosquitto_sub
mkdir -p "$out/program/broker/mosquitto/data"
plugin "$extracted$libdir/mosquitto_dynamic_security.so" dynamic_security
for file in "$plugins"/*.so; do plugin "$file" "$(basename "$file" .so)"; done
image tool "$extracted" /usr/bin/sqlite3
for name in cat chmod chown cp cut date dirname head id ls mkdir mv printf rm rmdir seq sha256sum \
	sleep sort stat sync timeout tr uniq dash flock grep openssl sed tar \
	mosquitto_passwd mosquitto_pub mosquitto_rr mosquitto_sub; do
	echo "/usr/bin/$name"
done >"$lists/provision"
# shellcheck disable=SC2046 # a list of paths
image provision "$extracted" $(cat "$lists/provision")
ln -s usr/bin "$out/program/provision/bin"
ln -s dash "$out/program/provision/usr/bin/sh"

chmod -R u=rwX,go=rX "$out"
# For the health socket. A tmpfs over it takes on its mode whatever its options say; the
# owner it does not take on, and Podman has no option for it.
chmod 1777 "$out/base/tmp" "$out/base/run/dewpoint"
chown -R 0:0 "$out"
chown "$uid:$uid" "$out/base/data"
chown "$broker_uid:$broker_uid" "$out/program/broker/mosquitto/data"
find "$out" -exec touch -h -d @0 {} +

for root in "$out"/base "$out"/libraries/* "$out"/program/*; do
	echo "${root#"$out/"}: $(du -sk --apparent-size "$root" | cut -f 1) KiB: $(
		cd "$root" && find . -name '*.so*' -printf '%f ' | sed 's/ $//'
	)"
done
