#!/bin/sh
# Put a folder of identities to work on this machine, whose services run without Docker:
#
#   @LIBDIR@/identity FOLDER
#
# FOLDER is provision/broker (the centre's) or a node's bundle, unpacked. As root; again at any
# time, also after an interruption. It is copied whole or not at all; nothing is restarted, what
# is to be restarted is said. README.md ("Who may come in") says how the folder is made.
#
#   @CONFDIR@/identity/broker/, node/     the copy: one folder a process, its user's alone, and
#                                         NAME.env, which the services' units read last
#   @CONFDIR@/mosquitto-*.d/access.conf   who may come in
set -eu
umask 077
confdir=@CONFDIR@ libdir=@LIBDIR@ datadir=@DATADIR@

say() { printf '%s\n' "$*"; }
fail() {
	printf 'identity: %s\n' "$*" >&2
	exit 1
}

broker_files='mosquitto/ca.crt mosquitto/server.crt mosquitto/server.key mosquitto/crl.pem
	mosquitto/dynamic-security.json ingest/mqtt_url retention-pruner/mqtt_url'
node_files='mosquitto/dynamic-security.json sampler/mqtt_url publisher/mqtt_url
	publisher/ca.crt publisher/node.crt publisher/node.key'

# find_kind: whose folder it is, and that it is whole. A node's bundle has its settings beside it.
find_kind() {
	[ ! -d "$folder/identity" ] || folder=$folder/identity
	if [ -d "$folder/publisher" ]; then
		kind=node files=$node_files port=1884
	elif [ -d "$folder/ingest" ]; then
		kind=broker files=$broker_files port=1883
	else
		fail "$folder is no folder of identities: that is provision/broker of the machine that ran make provision, or the folder that a node's bundle unpacks to"
	fi
	for file in $files; do
		[ -s "$folder/$file" ] || fail "$folder is not whole ($file is missing or empty): copy or unpack it again; nothing was changed"
	done
	case $(tail -c 2 "$folder/mosquitto/dynamic-security.json" | tr -d '\n') in
	*'}') ;;
	*) fail "$folder is not whole (mosquitto/dynamic-security.json is cut off): copy or unpack it again; nothing was changed" ;;
	esac
	for settings in "$folder/env" "$folder/../bundle.env" "$folder/../.env" ''; do
		[ ! -r "$settings" ] || break
	done
	[ -n "$settings" ] || fail "$folder has no env, nor a bundle.env beside it, which says who this is: give the whole folder that the bundle unpacks to"
}

# value NAME: of the folder's settings.
value() { sed -n "s/^$1=//p" "$settings" | tail -n 1; }

need_same() {
	if [ "$kind" = node ]; then
		name=$(value NODE_NAME)
		case $name in '' | *[!A-Za-z0-9._-]*) fail "$settings names no node (NODE_NAME=$name)" ;; esac
		before=$(sed -n 's/^NODE_NAME=//p' "$confdir/identity/node/publisher.env" 2>/dev/null || :)
		[ "${before:-$name}" = "$name" ] ||
			fail "this machine is $before already: to make it $name, systemctl stop dewpoint-node.target and remove $confdir/identity/node first; what $before has not sent yet stays in /var/lib/dewpoint/outbox, and $name may send it if it was made with WAS=$before"
	else
		name="the broker board"
		before=$confdir/identity/broker/mosquitto/ca.crt
		[ ! -e "$before" ] || cmp -s "$before" "$folder/mosquitto/ca.crt" ||
			fail "the broker here has an identity of another authority already: to put this one to work, remove $confdir/identity/broker first; each board then needs its new bundle"
	fi
}

need_machine() {
	for user in mosquitto dewpoint; do
		getent passwd "$user" >/dev/null ||
			fail "there is no user $user here: apt-get install --no-install-recommends mosquitto, and systemd-sysusers"
	done
	plugin=
	for plugin in /usr/lib/*/mosquitto_dynamic_security.so; do :; done
	[ -e "$plugin" ] || fail "mosquitto's plugin mosquitto_dynamic_security.so is missing: apt-get install --no-install-recommends mosquitto"
	grep -q "^include_dir $confdir/mosquitto-$kind.d\$" "$confdir/mosquitto-$kind.conf" ||
		fail "$confdir/mosquitto-$kind.conf does not read $confdir/mosquitto-$kind.d (it is of an older version, or changed): move it away, make install, and put your changes into the new one"
}

# publisher_env FOLDER: settings of the publisher, whose identity lies there.
publisher_env() {
	printf '%s\n' "NODE_NAME=$name" "UPSTREAM_URL=$(value UPSTREAM_URL)" "MQTT_URL=" \
		"MQTT_URL_FILE=$1/publisher/mqtt_url" "TLS_CA_FILE=$1/publisher/ca.crt" \
		"TLS_CERT_FILE=$1/publisher/node.crt" "TLS_KEY_FILE=$1/publisher/node.key"
	[ -z "$(value TOPIC_PREFIX)" ] || printf 'TOPIC_PREFIX=%s\n' "$(value TOPIC_PREFIX)"
}

# service_env NAME: of another one.
service_env() {
	printf '%s\n' "MQTT_URL=" "MQTT_URL_FILE=$final/$1/mqtt_url"
	[ "$1" != ingest ] || {
		echo "BROKER_ACCESS=provisioned"
		[ -z "$(value TOPIC_PREFIX)" ] || printf 'TOPIC_PREFIX=%s\n' "$(value TOPIC_PREFIX)"
	}
}

# prepare: everything beside where it goes. The broker of its own machine is at 127.0.0.1, whatever
# it is called in a container.
prepare() {
	mkdir -p "$confdir/identity"
	chmod 711 "$confdir/identity"
	rm -rf "$made"
	mkdir "$made"
	for process in "$folder"/*/; do
		process=$(basename "$process")
		mkdir "$made/$process"
		cp "$folder/$process"/* "$made/$process/"
		rm -f "$made/$process"/*.made
		owner=dewpoint
		[ "$process" != mosquitto ] || owner=mosquitto
		if [ -e "$made/$process/mqtt_url" ]; then
			sed -i "s|@[^@]*\$|@127.0.0.1:$port|" "$made/$process/mqtt_url"
		fi
		case $process in
		mosquitto) ;;
		publisher) publisher_env "$final" >"$made/publisher.env" ;;
		*) service_env "$process" >"$made/$process.env" ;;
		esac
		chown -R "$owner:$owner" "$made/$process"
		chmod -R u=rwX,go= "$made/$process"
	done
	chmod 711 "$made"
	[ "$kind" != node ] || check_publisher
	sync
}

# check_publisher: that key and certificates are good, before they take the place of others.
check_publisher() {
	# shellcheck disable=SC2046 # a list of settings without spaces
	said=$(env -i $(publisher_env "$made") "$libdir/publisher" --check-config 2>&1) || {
		rm -rf "$made"
		fail "$folder is not good, nothing was changed: $(printf '%s' "$said" | tail -n 1)"
	}
}

put_in_place() {
	if [ -e "$final" ]; then
		mv --exchange -T "$made" "$final"
		rm -rf "$made"
	else
		mv -T "$made" "$final"
	fi
	sync
}

# access: who may come in, once those who may have their passwords.
access() {
	to=$confdir/mosquitto-$kind.d
	mkdir -p "$to"
	chmod 755 "$to"
	sed "s|@DYNAMIC_SECURITY@|$plugin|" "$datadir/mosquitto/$kind-access.conf" >"$to/access.made"
	chmod 644 "$to/access.made"
	if [ "$kind" = broker ] && [ ! -e "$to/devices.conf" ]; then
		install -m 644 "$datadir/mosquitto/broker-devices.conf" "$to/devices.made"
		mv "$to/devices.made" "$to/devices.conf"
	fi
	sync
	mv "$to/access.made" "$to/access.conf"
	sync
}

# sensors: what was said when the identity was made goes into the sampler's settings, unless they
# say something already.
sensors() {
	for setting in SENSORS OUTPUTS; do
		line=$(grep "^$setting=." "$settings" | tail -n 1)
		[ -n "$line" ] || continue
		! grep -q "^$setting=" "$confdir/sampler.env" || continue
		printf '%s\n' "$line" >>"$confdir/sampler.env"
		say "    $confdir/sampler.env: $line"
	done
}

# overruled: settings of this machine's own that the identity goes before.
overruled() {
	for file in "$final"/*.env; do
		own=$confdir/$(basename "$file")
		[ -e "$own" ] || continue
		while IFS='=' read -r setting _; do
			! grep -q "^$setting=" "$own" || say "    $own: its $setting counts no more"
		done <"$file"
	done
}

[ $# -eq 1 ] || fail "one folder is wanted: identity FOLDER (provision/broker, or a node's bundle, unpacked)"
folder=${1%/}
[ "$(id -u)" -eq 0 ] || fail "must run as root, as the keys belong to the users of the services: sudo $0 $folder"
[ -d "$folder" ] || fail "$folder is no folder; it is provision/broker, or what a node's bundle unpacks to (tar -xf NAME.tar)"
find_kind
need_same
need_machine
final=$confdir/identity/$kind made=$confdir/identity/.new-$kind
prepare
put_in_place
access
[ "$kind" = broker ] || sensors
overruled
say "==> This machine is $name now ($final). To let that count, as root:"
if systemctl is-active -q "dewpoint-$kind.target" 2>/dev/null; then
	say "    systemctl restart dewpoint-$kind.target"
else
	say "    systemctl enable --now dewpoint-$kind.target"
fi
