# shellcheck shell=sh disable=SC2154,SC2016 # dir, shown: provision's; topics begin with a dollar
# The broker while it runs: it learns of what has changed, and loses no session but those that
# are to end. Sourced by provision.
#
# BROKER_AT   where it is reached (127.0.0.1)
# BROKER_PID  its process, which SIGHUP tells that the list of the revoked has changed
# BROKER_HUP  a file: whoever called us sends that signal when it is there, and removes it
# BROKER_FOLDER  where it has a copy of broker/mosquitto, if it does not read that itself
# PLAIN_PORT  of other people's devices, without TLS (1884)
# BROKER_LOGS, BROKER_RESTART  the commands that show its log and start it anew
# BROKER      down: that it does not answer is no fault, it is stopped
at=${BROKER_AT:-127.0.0.1}
plain_port=${PLAIN_PORT:-1884}
logs=${BROKER_LOGS:-docker compose logs mosquitto}
restart=${BROKER_RESTART:-docker compose restart mosquitto}
tmp=${TMPDIR:-/tmp}
control='$CONTROL/dynamic-security/v1'

# tls NAME: how a client with this certificate connects.
tls() { printf -- '--cafile %s/ca/ca.crt --cert %s/client.crt --key %s/client.key' "$dir" "$1" "$1"; }

# near: whether it runs here, from this folder.
near() { [ -n "${BROKER_PID:-}" ] || [ -n "${BROKER_HUP:-}" ]; }

# hup: it reads its certificate and the list of the revoked again.
hup() {
	if [ -n "${BROKER_PID:-}" ]; then
		kill -HUP "$BROKER_PID" || fail "the broker's process $BROKER_PID is gone, so it was not told to read the list of the revoked: once it runs, this again"
	elif [ -n "${BROKER_HUP:-}" ]; then
		: >"$BROKER_HUP"
		tries=200
		while [ "$tries" -gt 0 ]; do
			[ -e "$BROKER_HUP" ] || return 0
			tries=$((tries - 1))
			sleep 0.05
		done
		rm -f "$BROKER_HUP"
		fail "the broker was not told within 10 s to read the list of the revoked: this again"
	fi
}

# door CRT KEY: how a TLS connection ends: open (let in), shut (with what the broker said), away
# (no broker, or one that says nothing) or unreadable (CRT or KEY). Two bytes that are no MQTT end
# it, so whoever is connected under this name stays so.
door() {
	ended=0
	tried=$(printf '\0\0' | timeout 5 openssl s_client -connect "$at:8883" -CAfile "$dir/ca/ca.crt" \
		-verify_return_error -cert "$1" -key "$2" -brief -ign_eof 2>&1) || ended=$?
	case $ended:$tried in
	*alert* | *"verify error"*) printf 'shut: %s\n' "$(printf '%s' "$tried" | sed -n 's/.*alert \(certificate [a-z ]*\|[a-z ]*\):.*/\1/p' | head -n 1)" ;;
	*"Could not "* | *"nable to load"* | *"values mismatch"*) echo unreadable ;;
	124:*) echo away ;;
	# Only then has the handshake ended.
	*"CONNECTION ESTABLISHED"*) echo open ;;
	*) echo away ;;
	esac
}

# way_in: what the door says to _admin; a broker that is just starting gets some seconds.
way_in() {
	for _ in 1 2 3 4; do
		found=$(door "$dir/clients/_admin/client.crt" "$dir/clients/_admin/client.key")
		[ "$found" = away ] && near && [ "${BROKER:-}" != down ] || break
		sleep 1
	done
	echo "$found"
}

not_taken() { fail "the broker at $at did not take it: $1. The next command tells it again, so does this one once more"; }

# listed_commands COMMAND...: as the plugin takes them.
listed_commands() { printf '{"commands":[%s]}' "$(printf '%s\n' "$@" | joined)"; }

# ask BESIDES COMMAND...: of the plugin; each is a JSON object without a secret, as arguments of a
# program can be read by others. It may also answer BESIDES (an expression). What it answers is in
# `said`.
ask() {
	besides=$1
	shift
	# shellcheck disable=SC2046 # a list of options
	said=$(timeout 10 mosquitto_rr -h "$at" -p 8883 -V 5 $(tls "$dir/clients/_admin") -q 1 -W 5 \
		-t "$control" -e "$control/response" -m "$(listed_commands "$@")" 2>&1) || said="error: $said"
	case $(printf '%s' "$said" | sed "s/\"error\":\"[A-Z][a-z]* $besides\"//g") in
	error:* | '') not_taken "no answer ${said#error: }" ;;
	*'"error"'*) not_taken "$said" ;;
	esac
}

# ask_secretly COMMAND...: with a secret in it, so by standard input, which mosquitto_rr has not.
ask_secretly() {
	# shellcheck disable=SC2046 # a list of options
	said=$(listed_commands "$@" | timeout 10 mosquitto_pub -h "$at" -p 8883 -V 5 $(tls "$dir/clients/_admin") \
		-q 1 -t "$control" -s 2>&1) || not_taken "$said"
}

# tell_one NAME [changed]: what it is now, whatever the broker knows. Who is known there already is
# changed only if that is needed, as it ends the session.
tell_one() {
	if [ ! -e "$dir/identities/$1" ] || [ "$(fact "$1" state)" != active ] || [ "$1" = "${gone:-}" ]; then
		ask 'not found' "{\"command\":\"deleteClient\",\"username\":\"$1\"}" "{\"command\":\"deleteRole\",\"rolename\":\"$1\"}"
	elif [ -e "$dir/devices/$1" ]; then
		tell_device "$@"
	else
		tell_certified "$@"
	fi
}

# command_json NAME JSON: a command with what that object says.
command_json() { printf '{"command":"%s",%s\n' "$1" "${2#\{}"; }

tell_certified() {
	role=$(role_json "$1") client=$(client_json "$1")
	ask 'already exists' "$(command_json createRole "$role")" "$(command_json createClient "$client")"
	case ${2:-}:$said in
	# As it was told before, or new there.
	:*'Role already exists'*'Client already exists'*) ;;
	*'already exists'*) ask '' "$(command_json modifyRole "$role")" "$(command_json modifyClient "$client")" ;;
	esac
}

tell_device() {
	role=$(role_json "$1") client=$(client_json "$1")
	client="${client%\}},\"password\":\"$(sed -n 's/^password=//p' "$dir/devices/$1")\"}"
	ask 'already exists' "$(command_json createRole "$role")"
	if [ "${2:-}" = changed ]; then
		ask_secretly "$(command_json createClient "$client")" "$(command_json modifyClient "$client")"
	else
		ask_secretly "$(command_json createClient "$client")"
	fi
	# What became of it was not answered.
	ask '' "{\"command\":\"getClient\",\"username\":\"$1\"}"
}

# The file `behind` says of whom the broker does not know yet: a line a name, with `changed` where
# it knows an older state. Each command tells it what an earlier one could not.
is_behind() { [ -e "$dir/behind" ] && grep -qxF -e "$1" -e "$1 changed" "$dir/behind"; }

# but_for LINE...: the other lines.
but_for() {
	[ ! -e "$dir/behind" ] || grep -vxF "$(printf '%s\n' "$@")" "$dir/behind" || :
}

mark_behind() {
	{
		but_for "$1" "$*"
		echo "$*"
	} | write "$dir/behind"
}

not_behind() {
	[ -e "$dir/behind" ] || return 0
	but_for "$1" "$1 changed" | write "$dir/behind"
	[ -s "$dir/behind" ] || rm "$dir/behind"
}

# catch_up: what it was not told before.
catch_up() {
	[ -e "$dir/behind" ] || return 0
	while read -r behind changed; do
		tell_one "$behind" "$changed"
		not_behind "$behind"
	done <<-END
		$(cat "$dir/behind")
	END
	# Nor has it read the list that an earlier one made.
	hup
}

# tell_broker NAME [changed]: `way` is what way_in has said.
tell_broker() {
	# On a full disk it is told all the same.
	mark_behind "$@" || :
	case ${way:=$(way_in)} in
	open)
		tell_one "$@"
		not_behind "$1"
		catch_up
		;;
	away)
		if [ "${BROKER:-}" = down ] && ! near; then
			echo "    the broker is down: it will know at its next start"
		elif near; then
			fail "the broker runs here and does not answer: $logs says why; then this again"
		elif [ -n "${gone:-}" ]; then
			fail "no broker answers at $at, so nobody was shut out yet: once it starts with this folder $gone is out; with BROKER_AT= where it runs, this again; BROKER=down if it is stopped"
		else
			echo "    no broker runs at $at: it will know at its next start"
		fi
		;;
	*) fail "the broker at $at does not let this folder's _admin in ($way): is it another's broker? Its files in $shown are right" ;;
	esac
}

# tell_all NAME [changed]: the running broker and the files learn of it.
tell_all() {
	failed=0
	step tell_broker "$@"
	step write_rights
	step finish
	return "$failed"
}
