# shellcheck shell=bash disable=SC2154 # node, broker, failed: test.sh's
# Identities without Docker: a provisioned centre and a node on one machine. Sourced by test.sh,
# after whose part `run` the services stand still.

identities=/etc/dewpoint/identity
keys=/src/provision/nodes/native/publisher

# fails WORDS COMMAND...: with one line, which has these words.
fails() {
	local words=$1
	shift
	if "$@" >/var/tmp/said 2>&1; then
		cat /var/tmp/said
		echo "it did not fail: $*"
		return 1
	fi
	cat /var/tmp/said
	expect "$(grep -vc '^make: ' /var/tmp/said)" 1 && grep -q -- "$words" /var/tmp/said
}

provision() { make "$@" NATIVE=1; }
identity() { /usr/lib/dewpoint/identity "$@"; }

provision_packages() {
	local command
	fails 'Install with: apt-get install ' provision provision BROKER=localhost || return
	command=$(sed -n 's/.*Install with: //p' /var/tmp/said)
	$command -y
}

# Nothing is left of it, neither a folder nor who may come in.
nothing_put() {
	expect "$(find "$identities" -mindepth 1 2>/dev/null)" "" && grep -q 'allow_anonymous true' /etc/dewpoint/mosquitto-*.d/access.conf
}

provisioned() {
	provision provision BROKER=localhost NODES="native cellar" SENSORS=bench=sim@7 || return
	expect "$(stat -c '%U %a' provision/broker/ingest provision/nodes/native/mosquitto | xargs)" "dewpoint 700 mosquitto 700" || return
	fails 'exists already' provision provision BROKER=localhost
}

bad_folders() {
	local broken=/var/tmp/broken
	fails 'must run as root' setpriv --reuid=nobody --clear-groups /usr/lib/dewpoint/identity provision/broker || return
	fails 'is no folder' identity /var/tmp/none || return
	fails 'no folder of identities' identity /etc/systemd || return
	rm -rf "$broken" && cp -Rp provision/nodes/native "$broken" && rm "$broken/publisher/node.key" || return
	fails 'not whole (publisher/node.key is missing' identity "$broken" || return
	# The key of another.
	cp provision/nodes/cellar/publisher/node.key "$broken/publisher/" || return
	fails 'is not good, nothing was changed' identity "$broken" || return
	nothing_put
}

# From the bundle, as on a board.
identities_put() {
	tar -C /var/tmp -xf provision/native.tar || return
	identity provision/broker && identity /var/tmp/native | tee /var/tmp/said || return
	grep -q 'publisher.env: its UPSTREAM_URL counts no more' /var/tmp/said || return
	expect "$(find $identities -name '*.key' -exec stat -c '%U %a' {} + | sort | xargs)" "dewpoint 600 mosquitto 600" || return
	grep -q '^SENSORS=bench=sim@42' /etc/dewpoint/sampler.env && ! grep sim@7 /etc/dewpoint/sampler.env || return
	# Again, as after an interruption; and the sensors are taken where the board has none of its own.
	sed -i '/^SENSORS=/d' /etc/dewpoint/sampler.env
	mkdir "$identities/.new-node" && identity /var/tmp/native || return
	expect "$(xargs </etc/dewpoint/sampler.env)" "PERIOD_MS=5 SENSORS=bench=sim@7" || return
	expect "$(find $identities -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | xargs)" "broker node"
}

anothers_identity() {
	tar -C /var/tmp -xf provision/cellar.tar || return
	fails 'this machine is native already: to make it cellar' identity /var/tmp/cellar || return
	mkdir -p /var/tmp/other && PROVISION_DIR=/var/tmp/other BROKER=localhost NODES='' ci/native/provision.sh init || return
	fails 'of another authority' identity /var/tmp/other/broker || return
	grep -q '^NODE_NAME=native$' $identities/node/publisher.env
}

# publisher.env says mqtt://127.0.0.1:1883, where nobody comes in without a password.
readings_by_certificate() {
	local before
	sed -i '/^SPILL_AFTER_MS=soon$/d' /etc/dewpoint/publisher.env
	before=$(rows)
	systemctl restart dewpoint-broker.target dewpoint-node.target &&
		systemctl start dewpoint-broker.target dewpoint-node.target || return
	within 60 more_rows_than "$before" && within 10 all_run && return
	for unit in $node $broker; do journal "$unit" 8; done
	return 1
}

# comes_in OPTION...: a client at the broker.
comes_in() { mosquitto_sub -V 5 -h localhost -t 'ack/+/+' -E -W 10 "$@"; }

shut_to_others() {
	local port
	for port in 1883 1884 1885; do
		! comes_in -p "$port" || return
	done
	! comes_in -p 8883 --cafile "$keys/ca.crt" || return
	journal dewpoint-broker-mosquitto 50 | grep -q 'msg="refused: ' || return
	# What is listened at beyond this machine.
	expect "$(awk '$4 == "0A" && $2 !~ /^0100007F:/ { print $2 }' /proc/net/tcp)" "00000000:22B3"
}

added_while_it_runs() {
	local rights=$identities/broker/mosquitto/dynamic-security.json pid
	pid=$(property dewpoint-broker-mosquitto MainPID)
	provision provision-device DEVICE=esp1 && provision provision-node NODE=attic || return
	grep -q '"attic"' $rights || return
	expect "$(property dewpoint-broker-mosquitto MainPID)" "$pid" || return
	# Without NATIVE=1, which the folder remembers.
	make identities | tee /var/tmp/said
	grep -Eq '^native +node .* 20[0-9-]+ [0-9:]+ +active' /var/tmp/said
}

every_door() {
	make provision-check | tee /var/tmp/said
	grep -q ' 0 wrong$' /var/tmp/said || return
	cmp provision/broker/mosquitto/crl.pem $identities/broker/mosquitto/crl.pem
}

# tls: what the broker says to the node's certificate. Two bytes that are no MQTT end it, so the
# session of the publisher stays.
tls() {
	printf '\0\0' | timeout 10 openssl s_client -connect localhost:8883 -CAfile "$keys/ca.crt" \
		-cert "$keys/node.crt" -key "$keys/node.key" -ign_eof >/var/tmp/tls 2>&1
	grep -o 'Verify return code: 0\|alert certificate revoked' /var/tmp/tls | sort -u | xargs
}

revoked() {
	expect "$(tls)" "Verify return code: 0" || return
	provision revoke NODE=native || return
	expect "$(tls)" "Verify return code: 0 alert certificate revoked" || return
	within 60 knows_that_it_is_revoked
}
knows_that_it_is_revoked() {
	! dewpoint-publisher --healthcheck >/var/tmp/said 2>&1 && grep -q 'our certificate (CN=native): it is revoked' /var/tmp/said
}

# Of a broker that stands still as well: it reads it at its next start.
revoked_while_away() {
	systemctl stop dewpoint-broker.target dewpoint-broker-mosquitto || return
	! provision revoke NODE=attic || return
	provision revoke NODE=attic BROKER=down || return
	! grep -q '"attic"' $identities/broker/mosquitto/dynamic-security.json || return
	cmp provision/broker/mosquitto/crl.pem $identities/broker/mosquitto/crl.pem
}

phase_identity() {
	must "make provision NATIVE=1, which is done once" provisioned
	check "a folder that is no good changes nothing and is said in one line" bad_folders
	must "the identities of a centre and a node are put to work" identities_put
	check "another's identity is not put over it" anothers_identity
	must "readings arrive over mutual TLS, all six services run" readings_by_certificate
	check "nobody else comes in; only 8883 is open to the network" shut_to_others
	check "a device and a node are added while the broker runs" added_while_it_runs
	check "make provision-check finds every door as it should be" every_door
	check "a revoked node is shut out at once, and says so" revoked
	check "what is revoked while the broker is away counts" revoked_while_away
}
