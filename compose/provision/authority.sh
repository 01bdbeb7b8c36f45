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

# issued NAME KEY CRT USE OPTION...: by the authority.
issued() {
	issued_name=$1 issued_key=$2 issued_crt=$3 use=$4
	shift 4
	certificate "$issued_name" "$issued_key" "$issued_crt" -CA "$dir/ca/ca.crt" -CAkey "$dir/ca/ca.key" \
		-addext basicConstraints=critical,CA:FALSE -addext "extendedKeyUsage=$use" "$@"
}

make_authority() {
	mkdir "$dir/ca"
	# Several authorities have to be told apart by their name.
	certificate "Dewpoint $(openssl rand -hex 4)" "$dir/ca/ca.key" "$dir/ca/ca.crt" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
	: >"$dir/ca/index.txt"
	echo 01 >"$dir/ca/crlnumber"
}

# make_server ADDRESSES: also by the name inside the stack and on the machine itself.
make_server() {
	names=DNS:localhost,DNS:mosquitto,IP:127.0.0.1 rest=$1,
	while [ -n "$rest" ]; do
		address=${rest%%,*} rest=${rest#*,}
		names="$names,$(kind_of "$address"):$address"
	done
	mkdir -p "$dir/broker/mosquitto"
	issued broker "$dir/broker/mosquitto/server.key" "$dir/broker/mosquitto/server.crt" \
		serverAuth -addext "subjectAltName=$names"
	cp "$dir/ca/ca.crt" "$dir/broker/mosquitto/"
}

# make_list: whom the authority has revoked, for the broker.
make_list() {
	quietly openssl ca -config "$here/openssl.cnf" -gencrl \
		-crl_lastupdate 700101000000Z -crl_nextupdate 99991231235959Z -out "$dir/ca/crl.pem"
	quietly openssl crl -in "$dir/ca/crl.pem" -noout -CAfile "$dir/ca/ca.crt"
	# A list that the broker cannot read opens the door.
	give_broker "$dir/ca/crl.pem" crl.pem
}

# list_certificate CRT: revoke it. Once more is no fault.
list_certificate() {
	serial=$(openssl x509 -in "$1" -noout -serial) || fail "$1 cannot be read: it is not on the list of the revoked"
	! grep -q "	${serial#serial=}	" "$dir/ca/index.txt" || return 0
	quietly openssl ca -config "$here/openssl.cnf" -revoke "$1"
}
