#!/bin/bash
# The steps of ci/test-native.sh, inside its container, where /src is the repository.
#
#   ci/native/test.sh install     a bare Debian 13: packages, build, layout, static checks
#   ci/native/test.sh run         under systemd: readings through the units
#   ci/native/test.sh total       the sum of both
set -u
cd /src || exit
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
# The score of systemd-analyze security (0 safe to 100 exposed) that no unit may exceed.
exposure_max=20
counts=/var/tmp/native-counts
log=/var/tmp/native-log
passed=0 failed=0

# check NAME COMMAND...: quiet when it succeeds.
check() {
	local name=$1
	shift
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "ok   $name"
	else
		failed=$((failed + 1))
		tail -n 30 "$log"
		echo "FAIL $name"
	fi
	[ "${failed}" -eq 0 ]
}

# Nothing that follows makes sense without it.
must() { check "$@" || finish; }

finish() {
	echo "$passed $failed" >>"$counts"
	[ "$failed" -eq 0 ]
	exit
}

# within SECONDS COMMAND...: until it succeeds.
within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "not within the time: $*"
			return 1
		fi
		sleep 0.1
	done
}

expect() {
	[ "$1" = "$2" ] && return
	echo "expected: $2"
	echo "found:    $1"
	return 1
}

# --- install ------------------------------------------------------------------

missing_is_one_line() {
	if ci/native.sh >/var/tmp/said 2>&1; then
		echo "it did not fail on a bare Debian"
		return 1
	fi
	cat /var/tmp/said
	expect "$(wc -l </var/tmp/said)" 1 && grep -q 'Install with: apt-get install ' /var/tmp/said
}

packages_as_said() {
	local command
	command=$(sed -n 's/.*Install with: //p' /var/tmp/said)
	echo "$command"
	$command -y
}

old_libgpiod_is_named() {
	mkdir -p /var/tmp/old
	printf 'Name: libgpiod\nDescription: old\nVersion: 1.6.3\n' >/var/tmp/old/libgpiod.pc
	if PKG_CONFIG_PATH=/var/tmp/old make native >/var/tmp/old/said 2>&1; then
		echo "it did not refuse libgpiod 1.6.3"
		return 1
	fi
	cat /var/tmp/old/said
	grep -q 'libgpiod here is 1.6.3 and Dewpoint needs 2.*upgrade this machine to trixie' /var/tmp/old/said
}

install_before_build() {
	if make install DESTDIR=/var/tmp/none >/var/tmp/said-install 2>&1; then
		echo "it did not fail"
		return 1
	fi
	grep -q 'run make native first' /var/tmp/said-install && [ ! -e /var/tmp/none ]
}

version_of_each() {
	local name
	for name in sampler publisher ingest retention-pruner; do
		build/native/bin/$name --version | grep "^$name " || return
	done
}

layout() {
	local root=$1 prefix=$2
	(cd "$root" && find . -type f -o -type l | sort) >/var/tmp/found
	{
		for board in boards/*.json; do echo ".$prefix/share/dewpoint/boards/$(basename "$board")"; done
		for name in sampler publisher ingest ingest-postgres retention-pruner retention-pruner-postgres; do
			echo ".$prefix/bin/dewpoint-$name"
			echo ".$prefix/lib/dewpoint/$name"
		done
		for name in sampler publisher ingest retention-pruner; do
			echo "./etc/dewpoint/$name.env"
			echo ".$prefix/lib/systemd/system/dewpoint-$name.service"
		done
		for name in node broker; do
			echo "./etc/dewpoint/mosquitto-$name.conf"
			echo ".$prefix/lib/systemd/system/dewpoint-$name-mosquitto.service"
			echo ".$prefix/lib/systemd/system/dewpoint-$name.target"
			echo "./etc/dewpoint/mosquitto-$name.d/access.conf"
			echo ".$prefix/share/dewpoint/mosquitto/$name-access.conf"
			echo ".$prefix/share/dewpoint/mosquitto/$name-open.conf"
		done
		echo ".$prefix/share/dewpoint/mosquitto/broker-devices.conf"
		echo ".$prefix/lib/dewpoint/identity"
		echo ".$prefix/lib/dewpoint/refusals.so"
		echo ".$prefix/lib/dewpoint/by-hand"
		echo ".$prefix/lib/sysusers.d/dewpoint.conf"
		echo ".$prefix/lib/udev/rules.d/60-dewpoint.rules"
		echo ".$prefix/share/doc/dewpoint/README.md"
		echo ".$prefix/share/doc/dewpoint/copyright"
	} | sort >/var/tmp/wanted
	diff /var/tmp/wanted /var/tmp/found || return
	expect "$(stat -c %a "$root/etc/dewpoint/publisher.env")" 600 || return
	# Every @NAME@ was filled in, and the paths are those of this installation.
	! grep -r '@[A-Z]*@' "$root$prefix/lib/systemd" "$root/etc" || return
	grep -q "^ExecStart=$prefix/lib/dewpoint/sampler$" \
		"$root$prefix/lib/systemd/system/dewpoint-sampler.service" &&
		grep -q "BOARDS_DIR=$prefix/share/dewpoint/boards" \
			"$root$prefix/lib/systemd/system/dewpoint-sampler.service"
}

settings_are_kept() {
	local file
	for file in sampler.env mosquitto-broker.conf; do echo "# mine" >>"/stage/etc/dewpoint/$file"; done
	make install DESTDIR=/stage || return
	for file in sampler.env mosquitto-broker.conf; do
		expect "$(tail -n 1 "/stage/etc/dewpoint/$file")" "# mine" || return
	done
}

uninstall_keeps_settings() {
	make uninstall DESTDIR=/stage || return
	expect "$(cd /stage && find . -type f -o -type l | sed 's|/[^/]*$||' | sort -u | xargs)" \
		"./etc/dewpoint ./etc/dewpoint/mosquitto-broker.d ./etc/dewpoint/mosquitto-node.d"
}

units() { (cd /usr/lib/systemd/system && ls -d dewpoint-*."$1"); }

verify() {
	local found
	# shellcheck disable=SC2046 # a list of names
	# The manual pages are not installed here.
	found=$(systemd-analyze verify --man=no $(units service) $(units target) 2>&1) || {
		echo "$found"
		return 1
	}
	# Ends well even where it warns of an unknown setting.
	expect "$found" ""
}

exposure() {
	systemd-analyze security --offline=true --threshold=$exposure_max --no-pager \
		"/usr/lib/systemd/system/$1"
}

phase_install() {
	local unit
	rm -f "$counts"
	must "package lists" apt-get -qq update
	must "what is missing is said in one line" missing_is_one_line
	must "the command it says installs it" packages_as_said
	check "libgpiod 1 is refused with what to do" old_libgpiod_is_named
	check "install before the build says what to do" install_before_build
	must "make native" make native
	check "each program starts" version_of_each
	must "make install DESTDIR=" make install DESTDIR=/stage
	check "every file is where it belongs" layout /stage /usr
	check "changed settings are kept when it is installed again" settings_are_kept
	check "uninstall keeps settings and nothing else" uninstall_keeps_settings
	check "make install PREFIX=/usr/local" make install DESTDIR=/local PREFIX=/usr/local
	check "every file is where it belongs then" layout /local /usr/local
	must "systemd, mosquitto and sqlite3 from Debian" \
		apt-get -qq -y install --no-install-recommends systemd mosquitto sqlite3
	must "make install" make install
	must "users and groups" systemd-sysusers
	must "what make provision needs is said, and installed by it" provision_packages
	check "systemd-analyze verify has nothing to say" verify
	for unit in $(units service); do
		check "exposure of $unit is at most $((exposure_max / 10)).$((exposure_max % 10))" exposure "$unit"
		echo "     $(grep -o 'Overall exposure level.*: [0-9.]* [A-Z]*' "$log" | tail -n 1)"
	done
}

# --- run ----------------------------------------------------------------------

node="dewpoint-sampler dewpoint-publisher dewpoint-node-mosquitto"
broker="dewpoint-ingest dewpoint-retention-pruner dewpoint-broker-mosquitto"
db=/var/lib/dewpoint/store/broker.db

booted() {
	local state
	state=$(systemctl is-system-running --wait 2>&1)
	systemctl --failed --no-legend
	expect "$state" running
}

rows() { sqlite3 -readonly "$db" "SELECT count(*) FROM dht WHERE topic = '/data/native'"; }
rows_are() { [ "$(rows 2>/dev/null)" = "$1" ]; }
more_rows_than() { [ "$(rows 2>/dev/null || echo 0)" -gt "$1" ]; }
property() { systemctl show --value -p "$2" "$1"; }

journal() {
	journalctl --no-pager -o cat -n "${2:-10}" -u "$1"
}

all_run() {
	local unit
	for unit in $node $broker; do
		systemctl is-active -q "$unit" && continue
		journal "$unit"
		echo "$unit does not run"
		return 1
	done
}

# What a unit promises, seen at its process.
confined() {
	local unit user pid
	for unit in $node $broker; do
		pid=$(property "$unit" MainPID)
		user=dewpoint
		case $unit in *-mosquitto) user=mosquitto ;; esac
		expect "$unit $(stat -c %U "/proc/$pid")" "$unit $user" || return
		expect "$unit $(awk '$1 ~ /^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):$/ { printf "%s%s ", $1, $2 }' "/proc/$pid/status")" \
			"$unit CapPrm:0000000000000000 CapEff:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:1 Seccomp:2 " ||
			return
	done
}

# By hand a service has the settings of its unit.
by_hand() {
	dewpoint-sampler --probe | tee /var/tmp/probe | grep -q bench || {
		cat /var/tmp/probe
		return 1
	}
	dewpoint-publisher --check-config || return
	! dewpoint-ingest
}

healthy() {
	local name
	for name in sampler publisher ingest retention-pruner; do
		within 20 "dewpoint-$name" --healthcheck || return
	done
}

readings() {
	cat >/etc/dewpoint/sampler.env <<-END
		SENSORS=bench=sim@42,count=500
		PERIOD_MS=5
	END
	cat >/etc/dewpoint/publisher.env <<-END
		NODE_NAME=native
		UPSTREAM_URL=mqtt://127.0.0.1:1883
	END
	systemctl enable --now dewpoint-broker.target dewpoint-node.target || return
	within 30 rows_are 500 && return
	rows
	for unit in $node $broker; do journal "$unit" 5; done
	return 1
}

# The readings that are taken while the broker board's services are killed are there
# afterwards, each once: a stream without end, compared with its own sequence.
killed() {
	local unit before name
	sed -i 's/,count=500//' /etc/dewpoint/sampler.env
	systemctl restart dewpoint-sampler || return
	for unit in dewpoint-ingest dewpoint-broker-mosquitto dewpoint-publisher dewpoint-node-mosquitto; do
		before=$(rows)
		name=$(property $unit MainPID)
		kill -KILL "$name" || return
		within 30 more_rows_than "$before" || return
		within 10 restarted $unit "$name" || return
	done
	systemctl stop dewpoint-sampler || return
	within 30 nothing_open
}
restarted() {
	[ "$(property "$1" MainPID)" != "$2" ] && systemctl is-active -q "$1"
}
# Of each stream one interval, as long as it has rows: nothing missing, nothing twice.
nothing_open() {
	[ "$(sqlite3 -readonly "$db" 'SELECT count(*) FROM lost')" = 0 ] &&
		[ "$(sqlite3 -readonly "$db" 'SELECT sum(last - first + 1) FROM stream_interval')" = "$(rows)" ]
}

stops_in_time() {
	local unit began took
	systemctl start dewpoint-sampler || return
	# Until then a signal ends it without ceremony.
	within 20 dewpoint-sampler --healthcheck || return
	for unit in $node $broker; do
		began=$(date +%s%N)
		systemctl stop "$unit" || return
		took=$((($(date +%s%N) - began) / 1000000))
		echo "$unit: $took ms, $(property "$unit" Result), exit $(property "$unit" ExecMainStatus)"
		[ "$took" -lt 2000 ] || return
		expect "$(property "$unit" Result) $(property "$unit" ExecMainStatus)" "success 0" || return
	done
}

targets_stop_everything() {
	local unit
	systemctl start dewpoint-broker.target dewpoint-node.target || return
	within 10 all_run || return
	systemctl stop dewpoint-broker.target dewpoint-node.target || return
	within 10 none_runs
}
none_runs() {
	local unit
	for unit in $node $broker; do
		case $(property "$unit" ActiveState) in inactive) ;; *) return 1 ;; esac
	done
}

bad_setting_stays_stopped() {
	echo "SPILL_AFTER_MS=soon" >>/etc/dewpoint/publisher.env
	systemctl start dewpoint-publisher
	within 10 failed_with_78 || return
	journal dewpoint-publisher | grep 'name=SPILL_AFTER_MS value="soon"'
}
failed_with_78() {
	[ "$(property dewpoint-publisher ActiveState)" = failed ] &&
		[ "$(property dewpoint-publisher ExecMainStatus)" = 78 ]
}

phase_run() {
	must "systemd boots" within 30 booted
	must "Debian's mosquitto is switched off" systemctl disable --now mosquitto
	must "500 readings of the sampler are in the database, each once" readings
	must "all six services run" all_run
	check "users, capabilities and system calls are limited" confined
	check "each service says that it is well" healthy
	check "by hand a service has its unit's settings" by_hand
	check "killed services come back; nothing is missing or stored twice" killed
	check "each service stops within 2 s, with exit code 0" stops_in_time
	sed -n 's/.* ms, success/     &/p' "$log"
	check "a target stops all its services" targets_stop_everything
	check "a service with a bad setting stays stopped and says why" bad_setting_stays_stopped
}

# shellcheck source=ci/native/test-identity.sh
. ci/native/test-identity.sh

case ${1:-} in
install)
	phase_install
	finish
	;;
run)
	phase_run
	phase_identity
	finish
	;;
total)
	awk '{ ok += $1; bad += $2 }
		END { printf "native: %d passed, %d failed\n", ok, bad; exit !(ok > 0 && bad == 0) }' "$counts"
	;;
*)
	echo "test.sh: ${1:-nothing}: unknown; known are install, run and total" >&2
	exit 1
	;;
esac
