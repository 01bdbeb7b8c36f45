# shellcheck shell=sh disable=SC2154 # dir, shown, at, prefix: provision's
# Tries every door of a broker that runs: `provision check`. Sourced by provision.
#
# Two nodes and a device of its own are made for it and removed afterwards, so that nobody else
# is disturbed and nothing is stored. What is tried by one of them is then done by somebody who
# may: a door that is shut to all proves nothing.
one=provision-check-1 two=provision-check-2 gadget=provision-check-3
shut=0 opened=0 wrong=0

# make_check: who tries. The keys lie in a folder that `tidy` removes.
make_check() {
	revoked_certificate
	make_list
	hup
	keys=$dir/.new-check
	mkdir "$keys"
	for node in "$one" "$two"; do
		mkdir "$keys/$node"
		issued "$node" "$keys/$node/client.key" "$keys/$node/client.crt" clientAuth
		facts "$node" kind=node "since=$(now)" state=active
		tell_broker "$node"
	done
	new_device "$gadget"
	tell_broker "$gadget"
	# Of somebody else: the same name, another authority.
	mkdir "$keys/stranger"
	certificate "$one" "$keys/stranger/client.key" "$keys/stranger/client.crt" -addext extendedKeyUsage=clientAuth
}

# forget_check: everything that a check has made, also one that was interrupted. A broker that
# cannot be told is told by a later command.
forget_check() {
	left=
	for mine in "$one" "$two" "$gadget"; do
		rm -rf "$dir/ca/issued/$mine"
		[ -e "$dir/identities/$mine" ] || continue
		rm -f "$dir/identities/$mine" "$dir/devices/$mine"
		left="$left $mine"
		mark_behind "$mine"
	done
	rm -rf "$dir/.new-check"
	[ -n "$left" ] || return 0
	write_rights
	! comes_in "$dir/clients/_admin" || catch_up
}

# ---- ways in: each returns whether it was let through ----

# went COMMAND...: without an error, nor a word of the broker's that it was refused.
went() {
	heard=$(timeout 10 "$@" 2>&1) || return 1
	case $heard in *[Nn]'ot authori'* | *denied* | *failed* | *refused*) return 1 ;; esac
}

# by_certificate PROGRAM FOLDER OPTION...
by_certificate() {
	program=$1 folder=$2
	shift 2
	went "$program" -h "$at" -p 8883 -V 5 --cafile "$dir/ca/ca.crt" --cert "$folder/client.crt" \
		--key "$folder/client.key" "$@"
}

# by_password PORT USER PASSWORD PROGRAM OPTION...: in a file, as arguments can be read by others.
by_password() {
	port=$1 login=$tmp/$4
	printf -- '-u %s\n-P %s\n' "$2" "$3" >"$login"
	shift 3
	program=$1
	shift
	XDG_CONFIG_HOME=$tmp went "$program" -h "$at" -p "$port" -V 5 "$@" && through=0 || through=1
	rm -f "$login"
	return $through
}

# sends FOLDER TOPIC PAYLOAD OPTION...
sends() {
	who=$1 topic=$2 payload=$3
	shift 3
	by_certificate mosquitto_pub "$who" -q 1 -t "$topic" -m "$payload" "$@"
}

hears() { by_certificate mosquitto_sub "$1" -q 1 -t "$2" -E; }

comes_in() { [ "$(door "$1/client.crt" "$1/client.key")" = open ]; }

# Of QoS 0 nobody hears whether it may be sent: what counts is who comes in.
stranger() { went mosquitto_pub -h "$at" -V 5 -q 0 -t none -m checked "$@"; }

device() { by_password "$plain_port" "$gadget" "$word" "$@"; }

# dies FOLDER TOPIC: whether a last will there, retained, comes to an operator. Who comes back
# ends the session before it: by then the will is sent, or never.
dies() {
	timeout -s KILL 2 mosquitto_sub -h "$at" -p 8883 -V 5 --cafile "$dir/ca/ca.crt" --cert "$1/client.crt" \
		--key "$1/client.key" -t "cmd/${1##*/}/+/set" --will-topic "$2" --will-payload checked --will-retain \
		>/dev/null 2>&1 || :
	sends "$1" "status/${1##*/}/check" checked
	# shellcheck disable=SC2046 # a list of options
	delivered=$(mosquitto_sub -h "$at" -p 8883 -V 5 $(tls "$dir/clients/_operator") -i _operator -t "$2" -C 1 -W 2 2>&1) || :
	sends "$keys/$two" "$2" '' -r || sends "$keys/$one" "$2" '' -r || :
	[ "$delivered" = checked ]
}

# ---- the doors ----

# refuses NAME COMMAND...
refuses() {
	what=$1
	shift
	if "$@"; then
		wrong=$((wrong + 1))
		echo "OPEN     $what"
	else
		shut=$((shut + 1))
		echo "refused  $what"
	fi
}

# lets NAME COMMAND...
lets() {
	what=$1
	shift
	if "$@"; then
		opened=$((opened + 1))
		echo "works    $what"
	else
		wrong=$((wrong + 1))
		printf 'SHUT     %s: %s\n' "$what" "$(printf '%s' "${heard:-}" | head -n 1)"
	fi
}

try_coming_in() {
	lets "a node comes in by its certificate" comes_in "$keys/$one"
	refuses "a stranger without a certificate" stranger -p 8883 --cafile "$dir/ca/ca.crt"
	refuses "a node's name on a certificate of another authority" comes_in "$keys/stranger"
	refuses "a certificate on the list of the revoked" comes_in "$dir/ca/check"
	refuses "plain text on the port for TLS" stranger -p 8883
	refuses "nobody, at the services' port" stranger -p 1883
	refuses "nobody, at the devices' port" stranger -p "$plain_port"
	refuses "nobody, at the devices' port for TLS" stranger -p 8884 --cafile "$dir/ca/ca.crt"
	lets "a device comes in by its password" device mosquitto_pub -q 0 -t none -m checked
	refuses "a device with a wrong password" by_password "$plain_port" "$gadget" guessed mosquitto_pub -q 0 -t none -m checked
	refuses "a node's name without its certificate" by_password "$plain_port" "$one" guessed mosquitto_pub -q 0 -t none -m checked
}

try_sending() {
	node=$keys/$one
	lets "a node sends its own status" sends "$node" "status/$one/check" checked
	refuses "a node sends another's readings" sends "$node" "$prefix/$two" checked
	refuses "a node sends another's readings, retained" sends "$node" "$prefix/$two" checked -r
	refuses "a node sends another's batches" sends "$node" "$prefix/$two/batch" checked
	refuses "a node sends another's state" sends "$node" "state/$two/check" checked
	refuses "a node sends another's status" sends "$node" "status/$two/check" checked
	refuses "a node says 'stored' to another's outbox" sends "$node" "ack/$two/check" checked
	refuses "a node sends \$SYS" sends "$node" '$SYS/check' checked
	lets "a last will of a node is delivered" dies "$node" "status/$one"
	refuses "a last will of a node on another's status" dies "$node" "status/$two"
	refuses "a device sends another's readings" device mosquitto_pub -q 1 -t "$prefix/$two" -m checked
}

try_commanding() {
	lets "an operator sends a command" sends "$dir/clients/_operator" "cmd/$two/check/set" checked -i _operator
	refuses "a node sends a command" sends "$node" "cmd/$two/check/set" checked
	refuses "a device sends a command" device mosquitto_pub -q 1 -t "cmd/$two/check/set" -m checked
	refuses "a node orders the pruner" sends "$node" retention/run '{"dry_run":true}'
	lets "the administrator may change rights" comes_in "$dir/clients/_admin"
	refuses "a node changes rights" sends "$node" "$control" '{"commands":[]}'
	refuses "an operator changes rights" sends "$dir/clients/_operator" "$control" '{"commands":[]}'
}

try_hearing() {
	lets "an operator hears everybody's status" hears "$dir/clients/_operator" 'status/#'
	lets "a node hears its own commands" hears "$node" "cmd/$one/+/set"
	refuses "a node hears everything" hears "$node" '#'
	refuses "a node hears all readings" hears "$node" "$prefix/+"
	refuses "a node shares in ingest's batches" hears "$node" "\$share/check/$prefix/+/batch"
	refuses "a node hears another's commands" hears "$node" "cmd/$two/+/set"
	refuses "a node hears \$SYS" hears "$node" '$SYS/#'
	refuses "a node hears what the administrator is answered" hears "$node" "$control/response"
	refuses "a device hears everything" device mosquitto_sub -t '#' -E
}

check_doors() {
	case ${way:=$(way_in)} in
	open) ;;
	away) fail "no broker runs at $at: this tries the doors of one that does" ;;
	*) fail "the broker at $at does not let this folder's _admin in: is it another's broker?" ;;
	esac
	near || fail "the broker runs on another machine: only there can all its doors be reached, so run this there"
	trap forget_check EXIT
	trap 'exit 130' INT TERM
	make_check
	word=$(sed -n 's/^password=//p' "$dir/devices/$gadget")
	try_coming_in
	try_sending
	try_commanding
	try_hearing
	echo "$shut doors shut, $opened that should open do, $wrong wrong"
	[ "$wrong" -eq 0 ]
}
