# shellcheck shell=sh disable=SC2154 # dir, shown, at: provision's
# Taking back: an identity, a key, and the keys that come after. Sourced by provision.

# step COMMAND...: the next one runs, whatever became of this; `failed` remembers.
step() {
	set +e
	(
		set -e
		"$@"
	)
	step_ended=$?
	set -e
	[ "$step_ended" -eq 0 ] || failed=1
}

# pair_of NAME: where its certificate and key are, without .crt and .key.
pair_of() {
	case $1 in
	_*) echo "$dir/clients/$1/client" ;;
	*) echo "$dir/nodes/$1/publisher/node" ;;
	esac
}

# has_certificate NAME: or ought to.
has_certificate() {
	[ -n "$(certificates_of "$1")" ] || case $(fact "$1" kind) in node | client) ;; *) return 1 ;; esac
}

# revoke NAME: session and rights, then, where it has one, the certificate. Once more is no fault:
# it is what to do when something failed.
revoke() {
	case $1 in
	_ingest | _pruner | _health | _admin | broker | provision-check) fail "$1 is a part of the centre itself and cannot be revoked" ;;
	esac
	failed=0 gone=$1
	step mark_revoked "$1"
	way=$(way_in)
	step tell_broker "$1"
	if has_certificate "$1"; then
		step shut_out "$1" '' "$(pair_of "$1")"
		[ "$way" != open ] || step end_again "$1"
	fi
	# The file of a thousand takes seconds. From it the broker starts.
	step write_rights
	step finish
	return "$failed"
}

# end_again NAME: a board comes back at once, and until the broker had read the list it was let in,
# though without rights. To remove a client ends its session.
end_again() {
	ask 'already exists' "{\"command\":\"createClient\",\"username\":\"$1\"}" \
		"{\"command\":\"deleteClient\",\"username\":\"$1\"}"
}

mark_revoked() {
	# What `server` has made has certificates only.
	[ -e "$dir/identities/$1" ] && [ "$(fact "$1" state)" != revoked ] || return 0
	set_fact "$1" revoked "$(now)"
	set_fact "$1" state revoked
}

# shut_out NAME SERIAL PAIR: its certificates but for SERIAL go on the list, and the broker has to
# refuse PAIR, one of them, and the one that is always on it.
shut_out() {
	list_certificates "$1" "$2"
	[ ! -e "$dir/ca/check/client.crt" ] || keep revoked "$dir/ca/check/client.crt"
	make_list
	# One that hangs finds the signal when it goes on.
	hup
	# What that means has been said.
	[ "$way" != away ] || return 0
	if ! near && { [ ! -r "$3.crt" ] || [ ! -r "$3.key" ]; }; then
		fail "the broker at $at is on another machine, and without $1's key it cannot be tried whether it lets that in: ci/bundle.sh broker, unpack the new broker.tar there, ./start"
	fi
	for pair in "$3" "$dir/ca/check/client"; do
		if [ -e "$pair.crt" ] && [ -e "$pair.key" ]; then need_shut "$1" "$pair"; fi
	done
}

# need_shut NAME PAIR
need_shut() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		found=$(door "$2.crt" "$2.key")
		case $found in shut* | unreadable) return 0 ;; esac
		sleep 0.1
	done
	near || fail "the broker at $at is on another machine and still lets $1's certificate in: ci/bundle.sh broker, unpack the new broker.tar there, ./start, then this again"
	fail "the broker still lets $1's certificate in ($found): its log says why it has not read $shown/broker/mosquitto/crl.pem ($logs), or it was started from the broker.tar of another folder; then this again"
}

# revoke_old NAME: every key but the last.
revoke_old() {
	[ -e "$dir/ca/old-$1.crt" ] || fail "$1 has only one key"
	current=$(serial_of "$(pair_of "$1").crt")
	[ -n "$current" ] || fail "$(pair_of "$1").crt cannot be read: it is not known which key is the old one"
	failed=0 gone="the old key of $1"
	way=$(way_in)
	[ "$way" = open ] || step tell_broker "$1"
	step shut_out "$1" "$current" "$dir/ca/old-$1"
	[ "$way" != open ] || step kick "$1"
	# As long as it is here, this can be repeated.
	[ "$failed" -ne 0 ] || rm -f "$dir/ca/old-$1.crt" "$dir/ca/old-$1.key"
	step finish
	return "$failed"
}

# kick NAME: a list alone ends no session. The board comes back at once, by its new key.
kick() {
	ask '' "{\"command\":\"disableClient\",\"username\":\"$1\"}" "{\"command\":\"enableClient\",\"username\":\"$1\"}"
}

# renew NAME: a new key or password. A certificate's older one counts until `revoke-old`.
renew() {
	[ "$(fact "$1" state)" = active ] || fail "$1 is revoked: make provision-node gives a new board another name"
	case $(fact "$1" kind) in
	node | client) renew_certificate "$1" "$(pair_of "$1")" ;;
	device)
		new_device "$1"
		tell_all "$1" changed
		;;
	*) fail "$1: passwords of the stack's own services are made anew with the whole folder (README.md)" ;;
	esac
}

# renew_certificate NAME PAIR
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
	write "$dir/ca/old-$1.key" <"$2.key"
	write "$dir/ca/old-$1.crt" <"$2.crt"
	chown "$(stat -c %u:%g "$2.crt")" "$made/key" "$made/crt"
	sync
	# From here on the new pair counts: who is interrupted after it goes on with it.
	mv "$made" "$dir/renewed-$1"
	finish_renewal "$1"
	sync -f "$dir"
}

# finish_renewal NAME: the key first, as what follows tells by the certificate that it is not done.
finish_renewal() {
	pair=$(pair_of "$1")
	[ ! -e "$dir/renewed-$1/key" ] || mv -f "$dir/renewed-$1/key" "$pair.key"
	[ ! -e "$dir/renewed-$1/crt" ] || mv -f "$dir/renewed-$1/crt" "$pair.crt"
	set_fact "$1" renewed "$(now)"
	rmdir "$dir/renewed-$1"
}

# tidy_renewals: an interrupted one is finished, or was not begun.
tidy_renewals() {
	for folder in "$dir"/renewed-*; do
		[ ! -d "$folder" ] || finish_renewal "${folder#"$dir"/renewed-}"
	done
	for old in "$dir"/ca/old-*.crt; do
		of=${old#"$dir"/ca/old-}
		! same "$old" "$(pair_of "${of%.crt}").crt" || rm -f "$old"
	done
	for old in "$dir"/ca/old-*.key; do
		[ -e "${old%.key}.crt" ] || rm -f "$old"
	done
}
