# shellcheck shell=sh disable=SC2154 # dir, inside: provision's
# What each stack mounts: one folder a process, its owner's alone. Sourced by provision.
#
# BROKER_UID, SERVICE_UID  users, with a group of the same name or number, of mosquitto (1883) and
#                          of the services (10001)
broker_uid=${BROKER_UID:-1883} service_uid=${SERVICE_UID:-10001}

# own PATH UID
own() {
	[ "$(id -u)" -eq 0 ] || fail "must run as root: the files belong to the users of the services"
	chown -R "$2:$2" "$1"
}

# own_folders: after whatever was written.
own_folders() {
	own "$dir/broker/mosquitto" "$broker_uid"
	for service in ingest retention-pruner dashboard; do own "$dir/broker/$service" "$service_uid"; done
}

# write_rights: the file that the broker's plugin starts with; it writes it as well.
write_rights() {
	rights_json >"$dir/.new-rights"
	give_broker "$dir/.new-rights" dynamic-security.json
	rm "$dir/.new-rights"
}

# give_broker FILE NAME: to the broker, which may run, as this file of its folder: whole, and
# already its own.
give_broker() {
	for of_broker in "$dir/broker/mosquitto" ${BROKER_FOLDER:+"$BROKER_FOLDER"}; do
		cp "$1" "$of_broker/$2.made"
		own "$of_broker/$2.made" "$broker_uid"
		sync "$of_broker/$2.made"
		mv -f "$of_broker/$2.made" "$of_broker/$2"
	done
}

secret() { openssl rand -hex 24; }

# hashed FILE: of lines user:password, lines user:$7$ROUNDS$SALT$HASH. By a file, as arguments
# of a program can be read by others.
hashed() {
	quietly mosquitto_passwd -U "$1"
	cat "$1"
}

# hash_of PASSWORD
hash_of() {
	printf 'one:%s\n' "$1" >"$dir/.new-hash"
	hashed "$dir/.new-hash" | sed 's/^one://'
	rm -f "$dir/.new-hash"
}

# url FOLDER USER PASSWORD: the address of the broker of its own stack.
url() { printf 'mqtt://%s:%s@%s:1883\n' "$2" "$3" "$inside" >"$1/mqtt_url"; }

# health FOLDER PASSWORD: what mosquitto_sub in the broker's health check reads.
health() { printf -- '-u _health\n-P %s\n' "$2" >"$1/mosquitto_sub"; }

# new_service NAME FOLDER: a service of the centre, known by a password.
new_service() {
	password=$(secret)
	mkdir -p "$dir/broker/$2"
	case $1 in
	_health) health "$dir/broker/$2" "$password" ;;
	*) url "$dir/broker/$2" "$1" "$password" ;;
	esac
	facts "$1" kind=service "since=$(now)" state=active "hashed=$(hash_of "$password")"
}

# new_client NAME: a person or a program beyond the stack, known by a certificate.
new_client() {
	made=$dir/clients/.new-$1
	mkdir "$made"
	issued "$1" "$made/client.key" "$made/client.crt" clientAuth
	cp "$dir/ca/ca.crt" "$made/"
	rm -rf "$dir/clients/$1"
	mv "$made" "$dir/clients/$1"
	facts "$1" kind=client "since=$(now)" state=active
}

# new_device NAME: somebody else's, known by a password.
new_device() {
	password=$(secret)
	printf 'user=%s\npassword=%s\n' "$1" "$password" | write "$dir/devices/$1"
	facts "$1" kind=device "since=$(now)" state=active "hashed=$(hash_of "$password")"
}

# new_node NAME[:PLATFORM]
new_node() {
	node=${1%%:*} platform=
	case $1 in *:*) platform=${1#*:} ;; esac
	made=$dir/nodes/.new-$node
	mkdir -p "$made/mosquitto" "$made/sampler" "$made/publisher"
	node_key "$node" "$made/publisher"
	for user in sampler publisher health; do
		password=$(secret)
		case $user in
		health) health "$made/mosquitto" "$password" ;;
		*) url "$made/$user" "_$user" "$password" ;;
		esac
		printf '_%s:%s\n' "$user" "$password"
	done >"$made/.passwords"
	hashed "$made/.passwords" >/dev/null
	own_rights_json "$made/.passwords" >"$made/mosquitto/dynamic-security.json"
	rm "$made/.passwords"
	node_env "$node" >"$made/env"
	own "$made/mosquitto" "$broker_uid"
	own "$made/sampler" "$service_uid"
	own "$made/publisher" "$service_uid"
	sync
	# Without a file in identities/ it is what an interrupted one left.
	rm -rf "$dir/nodes/$node"
	mv "$made" "$dir/nodes/$node"
	facts "$node" kind=node "since=$(now)" state=active ${platform:+"platform=linux/$platform"} "was=${WAS:-}"
}

# node_key NAME FOLDER
node_key() {
	issued "$1" "$2/node.key" "$2/node.crt" clientAuth
	cp "$dir/ca/ca.crt" "$2/"
}

# node_env NAME: what its stack is set to, as lines of an .env.
node_env() {
	first=$(cut -d, -f1 "$dir/addresses")
	case $first in *:*) first="[$first]" ;; esac
	printf '%s\n' "# Who this board is: made by make provision-node, not to be changed by hand." \
		"NODE_NAME=$1" "NODE_ACCESS=provisioned" "NODE_IDENTITY=./identity" \
		"UPSTREAM_URL=mqtts://$first:8883" \
		"TLS_CA_FILE=/identity/ca.crt" "TLS_CERT_FILE=/identity/node.crt" "TLS_KEY_FILE=/identity/node.key"
	[ "$prefix" = /data ] || echo "TOPIC_PREFIX=$prefix"
	[ -z "${SENSORS:-}" ] || printf "SENSORS='%s'\n" "$SENSORS"
	[ -z "${OUTPUTS:-}" ] || printf "OUTPUTS='%s'\n" "$OUTPUTS"
}

# new_server ADDRESSES: a PostgreSQL beyond the stack, by the first as its name: what it shows, and
# what ingest and the pruner show to it. Its role is called dewpoint, as their certificate.
new_server() {
	server=${1%%,*}
	made=$dir/servers/.new-$server
	mkdir -p "$made"
	server_names=''
	rest=$1,
	while [ -n "$rest" ]; do
		address=${rest%%,*} rest=${rest#*,}
		server_names="$server_names${server_names:+,}$(kind_of "$address"):$address"
	done
	issued "$server" "$made/server.key" "$made/server.crt" serverAuth -addext "subjectAltName=$server_names"
	issued dewpoint "$made/client.key" "$made/client.crt" clientAuth
	cp "$dir/ca/ca.crt" "$made/"
	own "$made" "$service_uid"
	sync
	mv "$made" "$dir/servers/$server"
}

# broker_folder: the centre's services and what its stack is set to.
broker_folder() {
	new_service _ingest ingest
	new_service _pruner retention-pruner
	new_service _dashboard dashboard
	new_service _health mosquitto
	{
		echo "BROKER_ACCESS=provisioned"
		[ "$prefix" = /data ] || echo "TOPIC_PREFIX=$prefix"
	} >"$dir/broker/env"
}

# renew NAME: a new key or password. A certificate's older one counts until `revoke-old`.
renew() {
	[ "$(fact "$1" state)" = active ] || fail "$1 is revoked: make provision-node gives a new board another name"
	case $(fact "$1" kind) in
	node) renew_certificate "$1" "$dir/nodes/$1/publisher" node ;;
	client) renew_certificate "$1" "$dir/clients/$1" client ;;
	device)
		new_device "$1"
		write_rights
		tell_broker password "$1"
		;;
	*) fail "$1: passwords of the stack's own services are made anew with the whole folder (README.md)" ;;
	esac
}

# renew_certificate NAME FOLDER FILE
renew_certificate() {
	[ ! -e "$dir/ca/old-$1.crt" ] ||
		fail "$1 has two keys already: make revoke-old NODE=$1 first, once its board has the new one"
	made=$dir/.new-key
	mkdir "$made"
	issued "$1" "$made/key" "$made/crt" clientAuth
	openssl verify -CAfile "$dir/ca/ca.crt" "$made/crt" >/dev/null || fail "the new certificate of $1 does not fit its authority; nothing was changed"
	case $(door "$made/crt" "$made/key") in
	shut*)
		rm -rf "$made"
		fail "the broker does not take the new key of $1, which keeps the one it has; $logs says why"
		;;
	esac
	cp -p "$2/$3.crt" "$dir/ca/old-$1.crt"
	chown "$(stat -c %u:%g "$2/$3.crt")" "$made/key" "$made/crt"
	sync
	mv "$made/crt" "$2/$3.crt"
	mv "$made/key" "$2/$3.key"
	rmdir "$made"
	set_fact "$1" renewed "$(now)"
}

revoke_old() {
	[ -e "$dir/ca/old-$1.crt" ] || fail "$1 has only one key"
	list_certificate "$dir/ca/old-$1.crt"
	make_list
	rm "$dir/ca/old-$1.crt"
	tell_broker list "$1"
}

# revoke NAME: rights, session and, where it has one, the certificate. Once more is no fault: it
# is what to do when the broker could not be told.
revoke() {
	case $1 in
	_ingest | _pruner | _health | _admin) fail "$1 is a part of the centre itself and cannot be revoked" ;;
	esac
	for crt in "$dir/nodes/$1/publisher/node.crt" "$dir/clients/$1/client.crt" "$dir/ca/old-$1.crt"; do
		[ ! -e "$crt" ] || list_certificate "$crt"
	done
	make_list
	[ "$(fact "$1" state)" = revoked ] || set_fact "$1" revoked "$(now)"
	set_fact "$1" state revoked
	# The broker first, as the file of a thousand takes seconds; and whatever came of that, the
	# file, from which it starts.
	told=0
	(tell_broker remove "$1") || told=1
	write_rights
	return "$told"
}

# list: a line an identity.
list() {
	printf '%-24s %-8s %-21s %s\n' name kind since state
	for each in $(everybody); do
		state=$(fact "$each" state)
		[ "$state" != revoked ] || state="revoked $(fact "$each" revoked)"
		[ -z "$(fact "$each" was)" ] || state="$state, was $(fact "$each" was)"
		[ ! -e "$dir/ca/old-$each.crt" ] || state="$state, two keys"
		printf '%-24s %-8s %-21s %s\n' "$each" "$(fact "$each" kind)" "$(fact "$each" since)" "$state"
	done
}
