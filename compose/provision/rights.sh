# shellcheck shell=sh disable=SC2154,SC2016 # dir, prefix: provision's; topics begin with a dollar
# Who may send, receive and subscribe to what: the topic table of common/README.md as roles of
# mosquitto's dynamic-security plugin. What no role allows is refused. Sourced by provision.
#
# A subscription's filter need only be allowed to be asked for; what is delivered through it is
# judged topic by topic (receive). So `ack/+/+` may be asked for, and brings only one's own.

# allow ACTION TOPIC...: rules, one JSON object a line.
allow() {
	action=$1
	shift
	for topic; do
		printf '{"acltype":"%s","topic":"%s","priority":0,"allow":true}\n' "$action" "$topic"
	done
}
send() { allow publishClientSend "$@"; }
receive() { allow publishClientReceive "$@"; }
subscribe() {
	allow subscribePattern "$@"
	allow unsubscribePattern "$@"
}
hear() {
	receive "$@"
	subscribe "$@"
}

# rules NAME: of an identity, by its kind.
rules() {
	case $(fact "$1" kind) in
	node) node_rules "$1" ;;
	device) send "$prefix/$1" ;;
	*)
		case $1 in
		_admin)
			send '$CONTROL/dynamic-security/v1'
			hear '$CONTROL/dynamic-security/v1/response' 'status/+'
			;;
		_health) hear '$SYS/broker/version' ;;
		_ingest)
			send 'ack/+/+' 'stats/+/ingest/+' 'ingest/store/#'
			receive "$prefix/+" "$prefix/+/batch" 'ingest/store/#'
			subscribe "$prefix/+" "\$share/ingest/$prefix/+/batch" 'ingest/store/#'
			;;
		_pruner)
			send retention/report retention/answered 'stats/+/retention-pruner/+' 'answer/+/_pruner'
			hear retention/run retention/answered
			;;
		_dashboard*) hear 'state/#' 'status/#' 'stats/#' retention/report ;;
		_operator*)
			send 'cmd/+/+/set' retention/run
			hear 'state/#' 'status/#' 'stats/#' retention/report "answer/$1/+"
			# To clear what a name that is gone has left (common/README.md, "What is retained").
			send 'state/+/+' 'status/+/+'
			;;
		_homeassistant*)
			send 'cmd/+/+/set'
			hear 'state/#' 'status/#' "answer/$1/+"
			;;
		esac
		;;
	esac
}

node_rules() {
	node=$1
	send "$prefix/$node" "$prefix/$node/batch" "state/$node/+" "status/$node" "status/$node/+" \
		"stats/$node/+/+" "answer/+/$node"
	hear "cmd/$node/+/set" "state/$node/+" "status/$node/#"
	receive "ack/$node/+"
	subscribe 'ack/+/+'
	# Under a name it had before: the readings that its outbox still holds, nothing else.
	for old in $(fact "$node" was); do
		send "$prefix/$old/batch"
		receive "ack/$old/+"
	done
}

# The rules of a node's own broker, by user.
own_rules() {
	case $1 in
	_sampler | _publisher)
		send 'local/#'
		hear 'local/#'
		;;
	_health) hear '$SYS/broker/version' ;;
	esac
}

# joined: the lines of standard input as members of a JSON array.
joined() {
	separator=
	while read -r line; do
		printf '%s%s' "$separator" "$line"
		separator=,
	done
}

closed='"defaultACLAccess":{"publishClientSend":false,"publishClientReceive":false,"subscribe":false,"unsubscribe":false}'

# client_json NAME [HASHED]: with a password where there is one, as `hashed` says it.
client_json() {
	printf '{"username":"%s","roles":[{"rolename":"%s","priority":0}]' "$1" "$1"
	[ -z "${2:-}" ] || {
		IFS='$' read -r _ _ rounds salt hash <<-END
			$2
		END
		printf ',"password":"%s","salt":"%s","iterations":%s' "$hash" "$salt" "$rounds"
	}
	printf '}\n'
}

role_json() { printf '{"rolename":"%s","acls":[%s]}\n' "$1" "$(rules "$1" | joined)"; }

# active: who may come in; `gone` is just being revoked.
active() {
	for each in $(everybody); do
		[ "$(fact "$each" state)" != active ] || [ "$each" = "${gone:-}" ] || echo "$each"
	done
}

# rights_json: the whole file of the central broker's plugin.
rights_json() {
	printf '{%s,"clients":[%s],"groups":[],"roles":[%s]}\n' "$closed" \
		"$(for each in $(active); do client_json "$each" "$(fact "$each" hashed)"; done | joined)" \
		"$(for each in $(active); do role_json "$each"; done | joined)"
}

# own_rights_json FILE: of a node's own broker; FILE has a line a user: its name, a colon, what `hashed` says.
own_rights_json() {
	printf '{%s,"clients":[%s],"groups":[],"roles":[%s]}\n' "$closed" \
		"$(while IFS=: read -r user hashed; do client_json "$user" "$hashed"; done <"$1" | joined)" \
		"$(while IFS=: read -r user hashed; do
			printf '{"rolename":"%s","acls":[%s]}\n' "$user" "$(own_rules "$user" | joined)"
		done <"$1" | joined)"
}
