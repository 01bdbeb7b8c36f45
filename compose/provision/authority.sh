# shellcheck shell=sh disable=SC2154 # dir, shown: provision's
# The private authority: keys, certificates, what is revoked. Sourced by provision.
#
# Every certificate is valid from 1970 to the end of time, as a board without a clock starts in
# 1970, and what would have ended would shut its boards out one night. What takes an identity
# away is the list of the revoked, which the broker reads at each connection.
span='-not_before 19700101000000Z -not_after 99991231235959Z'

# quietly COMMAND...: what it says is shown only if it fails.
quietly() {
	said=$("$@" 2>&1) || fail "$1 $2 failed: $said"
}

# certificate NAME KEY CRT OPTION...
certificate() {
	cn=$1 key=$2 crt=$3
	shift 3
	# shellcheck disable=SC2086 # a list of options
	quietly openssl req -x509 -config "$here/openssl.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
		-keyout "$key" -out "$crt" -subj "/CN=$cn" $span "$@"
}

# issued NAME KEY CRT USE OPTION...: by the authority. A copy of each certificate is kept, as what
# is to be revoked has to be known, whatever became of its own folder.
issued() {
	issued_name=$1 issued_key=$2 issued_crt=$3 use=$4
	shift 4
	certificate "$issued_name" "$issued_key" "$issued_crt" -CA "$dir/ca/ca.crt" -CAkey "$dir/ca/ca.key" \
		-addext basicConstraints=critical,CA:FALSE -addext "extendedKeyUsage=$use" "$@"
	keep "issued/$issued_name" "$issued_crt"
}

# serial_of CRT: nothing if that is no certificate.
serial_of() { openssl x509 -in "$1" -noout -serial 2>/dev/null | sed -n 's/^serial=//p'; }

# keep FOLDER CRT: a copy in ca/FOLDER, by its serial number.
keep() {
	serial=$(serial_of "$2")
	[ -n "$serial" ] && mkdir -p "$dir/ca/$1" && write "$dir/ca/$1/$serial.crt" <"$2"
}

make_authority() {
	mkdir "$dir/ca"
	# Several authorities have to be told apart by their name.
	certificate "Dewpoint $(openssl rand -hex 4)" "$dir/ca/ca.key" "$dir/ca/ca.crt" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
	revoked_certificate
}

# revoked_certificate: one that is on the list from the beginning. A broker that lets it in has not
# read the list.
revoked_certificate() {
	[ ! -e "$dir/ca/check/client.crt" ] || return 0
	rm -rf "$dir/ca/check"
	mkdir "$dir/ca/check.made"
	issued provision-check "$dir/ca/check.made/client.key" "$dir/ca/check.made/client.crt" clientAuth
	keep revoked "$dir/ca/check.made/client.crt"
	mv "$dir/ca/check.made" "$dir/ca/check"
}

# make_server ADDRESSES: also by the name inside the stack and on the machine itself.
make_server() {
	names=DNS:localhost,DNS:mosquitto,IP:127.0.0.1 rest=$1,
	while [ -n "$rest" ]; do
		address=${rest%%,*} rest=${rest#*,}
		names="$names,$(kind_of "$address"):$address"
	done
	folder=$dir/broker/mosquitto
	mkdir -p "$folder"
	issued broker "$folder/server.key.made" "$folder/server.crt.made" \
		serverAuth -addext "subjectAltName=$names"
	for file in server.key server.crt; do
		mv "$folder/$file.made" "$folder/.$file"
		give_broker "$folder/.$file" "$file"
		rm "$folder/.$file"
	done
	cp "$dir/ca/ca.crt" "$folder/"
}

# on_list FILE: the serial numbers on a list of this authority; none if it is not one, whole.
on_list() {
	[ -f "$1" ] || return 0
	# It ends with 0 also when the signature is wrong.
	case $(openssl crl -in "$1" -noout -CAfile "$dir/ca/ca.crt" 2>&1) in
	*'verify OK'*) openssl crl -in "$1" -noout -text | sed -n 's/^ *Serial Number: *//p' | sort -u ;;
	esac
}

# make_list: whom the authority has revoked, for the broker. It is made of the certificates in
# ca/revoked and of what the broker's list says already: so no one leaves it again when an older
# copy of ca/ is put back, or a file is lost.
make_list() {
	list=$dir/broker/mosquitto/crl.pem work=$dir/ca/.new-list
	rm -rf "$work"
	mkdir "$work"
	on_list "$list" >"$work/before"
	{
		cat "$work/before"
		for crt in "$dir"/ca/revoked/*.crt; do
			crt=${crt##*/}
			[ "$crt" = '*.crt' ] || echo "${crt%.crt}"
		done
	} | sort -u >"$work/wanted"
	if [ ! -s "$work/before" ] || ! same "$work/before" "$work/wanted"; then
		sign_list
	elif [ -n "${BROKER_FOLDER:-}" ] && ! same "$list" "$BROKER_FOLDER/crl.pem"; then
		give_broker "$list" crl.pem
	fi
	rm -rf "$work"
}

# sign_list: the broker runs, and a list that it cannot read opens the door: so it is put there
# whole, already its own.
sign_list() {
	need_key
	while read -r serial; do
		printf 'R\t99991231235959Z\t700101000000Z\t%s\tunknown\t/CN=revoked\n' "$serial"
	done <"$work/wanted" >"$work/index.txt"
	number=$(openssl crl -in "$dir/ca/crl.pem" -noout -crlnumber 2>/dev/null | sed -n 's/^crlNumber=//p')
	printf '%08X\n' "$((${number:-0} + 1))" >"$work/crlnumber"
	quietly openssl ca -config "$here/openssl.cnf" -cert "$dir/ca/ca.crt" -keyfile "$dir/ca/ca.key" -gencrl \
		-crl_lastupdate 700101000000Z -crl_nextupdate 99991231235959Z -out "$work/crl.pem"
	on_list "$work/crl.pem" >"$work/after"
	same "$work/after" "$work/wanted" ||
		fail "the list of the revoked did not come out whole (is the disk full?): the broker keeps the one it has"
	give_broker "$work/crl.pem" crl.pem
	write "$dir/ca/crl.pem" <"$work/crl.pem"
}

# certificates_of NAME: all that are known, one path a line.
certificates_of() {
	for crt in "$dir/ca/issued/$1"/*.crt "$(pair_of "$1").crt" "$dir/ca/old-$1.crt"; do
		[ ! -e "$crt" ] || echo "$crt"
	done
}

# list_certificates NAME [SERIAL]: they are to be on the list from now on, but for that one.
list_certificates() {
	listed=0 bad=
	while read -r crt; do
		[ -n "$crt" ] || continue
		serial=$(serial_of "$crt")
		if [ -z "$serial" ]; then
			bad=$crt
		elif [ "$serial" != "${2:-}" ]; then
			keep revoked "$crt"
			listed=$((listed + 1))
		fi
	done <<-END
		$(certificates_of "$1")
	END
	# With a copy of each, a damaged one tells nothing new.
	[ -z "$bad" ] || [ -e "$dir/ca/issued/$1" ] ||
		fail "$bad cannot be read, so it is not on the list of the revoked: make provision anew shuts it out (compose/provision/README.md, \"Where the key lies\")"
	[ "$listed" -gt 0 ] ||
		fail "no certificate of $1 is here, so none is on the list of the revoked: put ca/ or its folder back from their copy, then this again"
}
