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
	for service in ingest retention-pruner dashboard; do
		[ ! -d "$dir/broker/$service" ] || own "$dir/broker/$service" "$service_uid"
	done
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
	quietly mosquitto_passwd -U "$dir/.new-hash"
	sed 's/^one://' "$dir/.new-hash"
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
	hash=$(hash_of "$password")
	facts "$1" kind=service "since=$(now)" state=active "hashed=$hash"
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
	hash=$(hash_of "$password")
	facts "$1" kind=device "since=$(now)" state=active "hashed=$hash"
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
	# shellcheck disable=SC2086 # names, by space
	facts "$node" kind=node "since=$(now)" state=active ${platform:+"platform=linux/$platform"} "was=$(echo ${WAS:-})"
}

# node_key NAME FOLDER
node_key() {
	issued "$1" "$2/node.key" "$2/node.crt" clientAuth
	cp "$dir/ca/ca.crt" "$2/"
}

# upstream: what the boards dial.
upstream() {
	first=$(cut -d, -f1 "$dir/addresses")
	case $first in *:*) first="[$first]" ;; esac
	echo "mqtts://$first:8883"
}

# node_env NAME: what its stack is set to, as lines of an .env.
node_env() {
	printf '%s\n' "# Who this board is: made by make provision-node, not to be changed by hand." \
		"NODE_NAME=$1" "NODE_ACCESS=provisioned" "NODE_IDENTITY=./identity" \
		"UPSTREAM_URL=$(upstream)" \
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

# new_addresses LIST: the broker is reached by others. Boards dial the first.
new_addresses() {
	make_server "$1"
	printf '%s\n' "$1" | write "$dir/addresses"
	for settings in "$dir"/nodes/*/env; do
		[ -e "$settings" ] || continue
		sed "s|^UPSTREAM_URL=.*|UPSTREAM_URL=$(upstream)|" "$settings" | write "$settings"
	done
	failed=0
	step hup
	step finish
	near || echo "    the broker has to read its new certificate: $restart, where it runs"
	echo "    each board that is to dial $(upstream) needs its bundle anew (ci/bundle.sh NAME)"
	return "$failed"
}

# finish: of a command that changed what the broker's stack mounts. Success is said once it is on the disk.
finish() {
	if [ -e "$dir/broker.tar" ]; then
		rm -f "$dir/broker.tar"
		echo "    $shown/broker.tar was of before and is gone: if the broker runs from it, ci/bundle.sh broker, unpack it there, ./start"
	fi
	sync -f "$dir"
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
