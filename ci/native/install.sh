#!/bin/sh
# Install what `make native` built, with its systemd units, or remove it again:
#
#   ci/native/install.sh [--remove]
#
# DESTDIR is put before every path (for a package); PREFIX is /usr unless set. Only
# copies files: no user is made and nothing is started; what to do next is printed.
# Settings in /etc/dewpoint are never overwritten and never removed.
set -eu
cd "$(dirname "$0")/../.."
. ci/lib.sh

destdir=${DESTDIR:-} prefix=${PREFIX:-/usr}
case $prefix in /*) ;; *) fail "PREFIX=$prefix: a path from / on is needed, such as /usr or /usr/local" ;; esac
case $destdir in '' | /*) ;; *) destdir=$PWD/$destdir ;; esac
prefix=${prefix%/} destdir=${destdir%/}

confdir=/etc/dewpoint
libdir=$prefix/lib/dewpoint
datadir=$prefix/share/dewpoint
docdir=$prefix/share/doc/dewpoint
unitdir=$prefix/lib/systemd/system

programs=$(find build/native/bin -type f -printf '%f\n' 2>/dev/null | LC_ALL=C sort)

# Nothing may go on running whose program and unit are removed. A package's folder
# (DESTDIR) says nothing about this machine.
stop_units() {
	if [ -n "$destdir" ] || [ ! -d "${SYSTEMD_RUNS:-/run/systemd/system}" ]; then return; fi
	for path in ci/native/systemd/*; do
		unit=$(basename "$path")
		[ -e "$unitdir/$unit" ] || continue
		systemctl disable --now --quiet "$unit" ||
			fail "$unit could not be stopped, so nothing is removed: systemctl status $unit"
	done
}

remove() {
	stop_units
	for path in ci/native/systemd/*; do rm -f "$destdir$unitdir/$(basename "$path")"; done
	for name in $(program_names); do rm -f "$destdir$prefix/bin/dewpoint-$name"; done
	rm -rf "$destdir$libdir" "$destdir$datadir" "$destdir$docdir"
	rm -f "$destdir$prefix/lib/sysusers.d/dewpoint.conf" \
		"$destdir$prefix/lib/udev/rules.d/60-dewpoint.rules"
	if [ -z "$destdir" ] && [ -d "${SYSTEMD_RUNS:-/run/systemd/system}" ]; then systemctl daemon-reload; fi
	say "==> Removed. Kept: $destdir$confdir (settings) and $destdir/var/lib/dewpoint (readings)"
}

# put MODE FROM TO
put() {
	mkdir -p "$(dirname "$destdir$3")"
	install -m "$1" "$2" "$destdir$3"
}

# Settings: kept when they exist.
settings() {
	if [ -e "$destdir$2" ]; then
		say "    kept, as it exists: $destdir$2"
	else
		# A URL may hold a password; systemd reads these files as root.
		put "${3:-600}" "$1" "$2"
	fi
}

# with_paths FILE: with the paths of this installation, and in a unit with what all
# services may do.
with_paths() {
	sed -e '/^@HARDENING@$/ {
		r ci/native/hardening.conf
		d
	}' -e "s|@LIBDIR@|$libdir|g; s|@CONFDIR@|$confdir|g; s|@DATADIR@|$datadir|g; s|@DOCDIR@|$docdir|g" "$1"
}

# broker_conf FROM SED...: the containers' configuration with the paths and addresses of this
# installation, as $work/conf. Each expression has to change something.
broker_conf() {
	cp "$1" "$work/conf"
	of=$1
	shift
	for expression; do
		sed -e "$expression" "$work/conf" >"$work/changed"
		! cmp -s "$work/changed" "$work/conf" ||
			fail "$of has no longer what \"$expression\" is to change: adapt ci/native/install.sh"
		mv "$work/changed" "$work/conf"
	done
}

# mosquitto_files KIND PORT SED...: what the broker of a node or of the centre is told, and who may
# come in: at first whoever is on this machine; identity.sh puts the provisioned ones to use.
mosquitto_files() {
	kind=$1 port=$2
	shift 2
	broker_conf "compose/mosquitto/$kind.conf" \
		"s|^include_dir .*|include_dir $confdir/mosquitto-$kind.d|" "$@"
	settings "$work/conf" "$confdir/mosquitto-$kind.conf" 644
	broker_conf compose/mosquitto/open/access.conf "s|^listener .*|listener $port 127.0.0.1|" \
		"s|^# Who reaches.*|# Whoever is on this machine may do everything;|" \
		"s|^# a broker that.*|# $libdir/identity changes that.|"
	put 644 "$work/conf" "$datadir/mosquitto/$kind-open.conf"
	settings "$work/conf" "$confdir/mosquitto-$kind.d/access.conf" 644
	# Debian's plugin is in a folder of its architecture, which identity.sh finds.
	broker_conf "compose/mosquitto/provisioned-$kind/access.conf" \
		"s|^listener 1883\$|listener $port 127.0.0.1|" \
		"s|^plugin .*/refusals.so|plugin $libdir/refusals.so|" \
		"s|^plugin .*/dynamic_security.so|plugin @DYNAMIC_SECURITY@|" \
		"s|/mosquitto/identity|$confdir/identity/$kind/mosquitto|"
	put 644 "$work/conf" "$datadir/mosquitto/$kind-access.conf"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "$destdir" ] && [ "$(id -u)" -ne 0 ]; then
	fail "$prefix and $confdir are root's: run this with sudo, or name a folder with DESTDIR="
fi

case ${1:-} in
--remove)
	remove
	exit 0
	;;
'') ;;
*) fail "$1: unknown; known is --remove" ;;
esac

[ -n "$programs" ] || fail "build/native/bin has no programs: run make native first"
[ -e build/native/plugins/refusals.so ] || fail "build/native/plugins has no refusals.so: run make native first"

for name in $programs; do
	put 755 "build/native/bin/$name" "$libdir/$name"
	mkdir -p "$destdir$prefix/bin"
	ln -sfn ../lib/dewpoint/by-hand "$destdir$prefix/bin/dewpoint-$name"
done
with_paths ci/native/by-hand.sh >"$work/by-hand"
put 755 "$work/by-hand" "$libdir/by-hand"
with_paths ci/native/identity.sh >"$work/identity"
put 755 "$work/identity" "$libdir/identity"
put 644 build/native/plugins/refusals.so "$libdir/refusals.so"
for board in boards/*.json; do put 644 "$board" "$datadir/boards/$(basename "$board")"; done
for path in ci/native/systemd/*; do
	with_paths "$path" >"$work/unit"
	put 644 "$work/unit" "$unitdir/$(basename "$path")"
done
put 644 ci/native/sysusers.conf "$prefix/lib/sysusers.d/dewpoint.conf"
put 644 ci/native/udev.rules "$prefix/lib/udev/rules.d/60-dewpoint.rules"
put 644 ci/native/README.md "$docdir/README.md"
put 644 LICENSE "$docdir/copyright"

for path in ci/native/env/*.env; do settings "$path" "$confdir/$(basename "$path")"; done
# The node's own broker is not at 1883, which is Debian's mosquitto's or the broker
# board's own.
mosquitto_files node 1884
mosquitto_files broker 1883 's|^persistence_location .*|persistence_location /var/lib/dewpoint/mosquitto/|'
broker_conf compose/mosquitto/provisioned-broker/devices.conf \
	"s|/mosquitto/identity|$confdir/identity/broker/mosquitto|" \
	's|^listener 8884$|listener 8884 127.0.0.1|' 's|^listener 1884$|listener 1885 127.0.0.1|' \
	's|^# from outside unless.*|# from outside unless 127.0.0.1 is removed here; 8884 is the one with TLS. Kept as it is changed.|'
put 644 "$work/conf" "$datadir/mosquitto/broker-devices.conf"

say "==> Installed $(printf '%s' "$programs" | xargs) in $destdir$libdir, the units in $destdir$unitdir"
if [ -n "$destdir" ]; then exit 0; fi
say "" "What next, as root:"
[ -x /usr/sbin/mosquitto ] || say "    apt-get install --no-install-recommends mosquitto"
say "    systemd-sysusers && systemctl daemon-reload"
say "    udevadm control --reload && udevadm trigger --subsystem-match=gpio"
say "  a node with an identity (ci/native/README.md; without, see below):"
say "    $libdir/identity FOLDER"
say "  a node (NODE_NAME and UPSTREAM_URL in publisher.env, SENSORS in sampler.env):"
say "    editor $confdir/publisher.env $confdir/sampler.env"
say "    systemctl enable --now dewpoint-node.target"
say "  the broker board (port 1883 is its own; Debian's mosquitto has it otherwise):"
say "    systemctl disable --now mosquitto"
say "    systemctl enable --now dewpoint-broker.target"
