# shellcheck shell=sh disable=SC2154,SC2016 # dir, shown: provision's; topics begin with a dollar
# The broker while it runs: it learns of what has changed, and loses no session but those that
# are to end. Sourced by provision.
#
# BROKER_AT   where it is reached (127.0.0.1)
# BROKER_PID  the process to be told that the list of the revoked has changed, or
# BROKER_HUP  a file by which somebody is asked to tell it; neither: it is elsewhere
# BROKER_FOLDER  where it has a copy of broker/mosquitto, if it does not read that itself
# PLAIN_PORT  of other people's devices, without TLS (1884)
# BROKER_LOGS, BROKER_RESTART  the commands that show its log and start it anew
at=${BROKER_AT:-127.0.0.1}
plain_port=${PLAIN_PORT:-1884}
logs=${BROKER_LOGS:-docker compose logs mosquitto}
restart=${BROKER_RESTART:-docker compose restart mosquitto}
tmp=${TMPDIR:-/tmp}
control='$CONTROL/dynamic-security/v1'

# as NAME: how a client with this certificate connects.
tls() { printf -- '--cafile %s/ca/ca.crt --cert %s/client.crt --key %s/client.key' "$dir" "$1" "$1"; }

# door CRT KEY: open, shut (with what the broker said) or away, as a TLS connection finds it. Two
# bytes that are no MQTT end it, so whoever is connected under this name stays so.
door() {
	tried=$(printf '\0\0' | timeout 5 openssl s_client -connect "$at:8883" -CAfile "$dir/ca/ca.crt" \
		-verify_return_error -cert "$1" -key "$2" -quiet 2>&1) || :
	case $tried in
	*[Cc]"onnection refused"* | *"connect:errno"*) echo away ;;
	*alert* | *"verify error"*) printf 'shut: %s\n' "$(printf '%s' "$tried" | sed -n 's/.*alert \(certificate [a-z ]*\|[a-z ]*\):.*/\1/p' | head -n 1)" ;;
	*) echo open ;;
	esac
}

# ask COMMAND...: of the plugin; each is a JSON object without a secret, as arguments of a
# program can be read by others. What is to be removed may be gone already.
ask() {
	# shellcheck disable=SC2046 # a list of options
	said=$(mosquitto_rr -h "$at" -p 8883 -V 5 $(tls "$dir/clients/_admin") -q 1 -W 5 \
		-t "$control" -e "$control/response" \
		-m "{\"commands\":[$(printf '%s\n' "$@" | joined)]}" 2>&1) || said="error: $said"
	case $(printf '%s' "$said" | sed 's/"error":"[A-Z][a-z]* not found"//g') in
	*'"error"'* | error:* | '') not_taken "$said" ;;
	esac
}

not_taken() { fail "the broker at $at did not take it: $1. Its files are right: it will know after $restart"; }

# ask_secretly DEVICE COMMAND: with a password in it; whether it was taken, an entry with it tells.
ask_secretly() {
	# shellcheck disable=SC2046 # a list of options
	said=$(printf '{"commands":[%s]}' "$2" | mosquitto_pub -h "$at" -p 8883 -V 5 \
		$(tls "$dir/clients/_admin") -q 1 -t "$control" -s 2>&1) || not_taken "$said"
	sed -n 's/^user=/-u /p; s/^password=/-P /p' "$dir/devices/$1" >"$tmp/mosquitto_sub"
	# What it asks for is refused either way; the question is whether it is let in.
	said=$(XDG_CONFIG_HOME=$tmp mosquitto_sub -h "$at" -p "$plain_port" -V 5 -t none -E -W 5 2>&1) || :
	rm "$tmp/mosquitto_sub"
	case $said in
	*'Connection error'* | *'onnection refused'*) not_taken "$said" ;;
	esac
}

# tell_broker add|change|remove|password|list NAME
tell_broker() {
	admin=$dir/clients/_admin
	case $(door "$admin/client.crt" "$admin/client.key") in
	open) ;;
	away)
		echo "    no broker runs at $at: it will know at its next start"
		return
		;;
	*) fail "the broker at $at does not let this folder's _admin in: is it another's broker? Its files in $shown are right" ;;
	esac
	case $1 in
	add)
		role=$(role_json "$2")
		ask "{\"command\":\"createRole\",${role#\{}"
		if [ -e "$dir/devices/$2" ]; then
			client=$(printf '{"command":"createClient","username":"%s","roles":[{"rolename":"%s"}],"password":"%s"}' \
				"$2" "$2" "$(sed -n 's/^password=//p' "$dir/devices/$2")")
			ask_secretly "$2" "$client"
		else
			client=$(client_json "$2")
			ask "{\"command\":\"createClient\",${client#\{}"
		fi
		;;
	change)
		role=$(role_json "$2")
		ask "{\"command\":\"modifyRole\",${role#\{}"
		;;
	password)
		ask_secretly "$2" "{\"command\":\"setClientPassword\",\"username\":\"$2\",\"password\":\"$(sed -n 's/^password=//p' "$dir/devices/$2")\"}"
		;;
	list | remove)
		# The list first: a client that is only removed comes in again, without rights.
		read_list "$2"
		[ "$1" = list ] ||
			ask "{\"command\":\"deleteClient\",\"username\":\"$2\"}" "{\"command\":\"deleteRole\",\"rolename\":\"$2\"}"
		;;
	esac
}

# here: whether the broker runs on this machine, so that it can be told to read anew.
here() { [ -n "${BROKER_PID:-}" ] || [ -n "${BROKER_HUP:-}" ]; }

# hup: it reads the list of the revoked anew. In Docker, who called us sends the signal.
hup() {
	if [ -n "${BROKER_PID:-}" ]; then
		kill -HUP "$BROKER_PID"
		return
	fi
	: >"$BROKER_HUP"
	for _ in $(seq 100); do
		[ -e "$BROKER_HUP" ] || return 0
		sleep 0.05
	done
	fail "the broker could not be told to read the list of the revoked: is it stopping? Run the same command again"
}

# read_list NAME: the broker reads whom the authority has revoked, and the door is tried.
read_list() {
	for pair in nodes/$1/publisher/node clients/$1/client; do
		[ ! -e "$dir/$pair.crt" ] || break
		pair=
	done
	[ -n "$pair" ] || return 0
	if ! here; then
		echo "    the broker is on another machine: $1 has no rights there from now on; that it is refused at the door takes the new broker.tar there (./start)"
		return
	fi
	hup
	[ "$(fact "$1" state)" = revoked ] || return 0
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		case $(door "$dir/$pair.crt" "$dir/$pair.key") in shut*) return ;; esac
		sleep 0.1
	done
	fail "the broker still lets $1's certificate in: its log says why it has not read $shown/broker/mosquitto/crl.pem ($logs)"
}
