#!/bin/sh
# What ci/provision.sh does, without Docker (NATIVE=1): compose/provision/provision on this machine,
# as root, with Debian's openssl and mosquitto. For a centre whose services run without Docker.
#
#   ci/native/provision.sh init|node NAME|device NAME|...     as ci/provision.sh, which calls this
#
# A node's bundle made here has its identity and settings, not the images for a board with Docker:
# ci/bundle.sh makes those, on a machine that has it.
set -eu
cd "$(dirname "$0")/../.."
. ci/lib.sh
PATH=$PATH:/usr/sbin:/sbin

dir=${PROVISION_DIR:-provision}
case $dir in /*) full=$dir ;; *) full=$PWD/$dir ;; esac
in_use=/etc/dewpoint/identity/broker/mosquitto

[ "$(id -u)" -eq 0 ] || fail "identities belong to the users of the services: run this as root (sudo make ...)"
missing=
for each in openssl:openssl mosquitto_passwd:mosquitto mosquitto_rr:mosquitto-clients; do
	command -v "${each%:*}" >/dev/null 2>&1 || missing="$missing ${each#*:}"
done
[ -z "$missing" ] || fail "missing here:$missing. Install with: apt-get install --no-install-recommends$missing"
for user in mosquitto dewpoint; do
	getent passwd "$user" >/dev/null || fail "there is no user $user here: make install, then systemd-sysusers"
done

# pack NAME: the bundle of a node.
pack() {
	exec 8>"$full/.lock"
	flock 8
	rm -rf "$full/.new-bundle"
	mkdir -p "$full/.new-bundle/$1"
	cp -Rp "$full/nodes/$1" "$full/.new-bundle/$1/identity"
	mv "$full/.new-bundle/$1/identity/env" "$full/.new-bundle/$1/bundle.env"
	tar -C "$full/.new-bundle" -cf "$full/.new-bundle/tar" "$1"
	sync "$full/.new-bundle/tar"
	mv "$full/.new-bundle/tar" "$full/$1.tar"
	rm -rf "$full/.new-bundle"
	exec 8>&-
	say "    $dir/$1.tar: as root on that board (ci/native/README.md): tar -xf $1.tar && /usr/lib/dewpoint/identity $1"
}

umask 077
mkdir -p "$full"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# The broker that runs here, if it is this authority's, has a copy of its folder.
if [ "${1:-}" != init ] && [ -e "$full/ca/ca.crt" ] && cmp -s "$full/ca/ca.crt" "$in_use/ca.crt"; then
	export BROKER_FOLDER="$in_use"
	pid=$(systemctl show -p MainPID --value dewpoint-broker-mosquitto 2>/dev/null) || pid=0
	if [ "${pid:-0}" -gt 0 ]; then export BROKER_PID="$pid"; fi
fi
PROVISION_DIR=$full PROVISION_SHOWN=$dir TMPDIR=$work INSIDE=127.0.0.1 BROKER_UID=mosquitto \
	SERVICE_UID=dewpoint PLAIN_PORT=1885 BROKER_LOGS='journalctl -u dewpoint-broker-mosquitto' \
	BROKER_RESTART='systemctl restart dewpoint-broker-mosquitto' compose/provision/provision "$@"

case ${1:-} in
init)
	# The Makefile looks for it.
	: >"$full/native"
	for entry in ${NODES:-}; do pack "${entry%%:*}"; done
	say "    the centre's is put to work by: /usr/lib/dewpoint/identity $dir/broker"
	;;
node) pack "${2%%:*}" ;;
renew) [ ! -d "$full/nodes/${2:-}" ] || pack "$2" ;;
esac
