#!/bin/sh
# Make sure that Docker Engine, Compose and Buildx are here and running.
# Installs what is missing from Debian's own packages, starts an engine that is
# not running, and leaves everything that exists as it is.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

log=/var/log/dewpoint-dockerd.log

engine_answers() { dk version >/dev/null 2>&1; }
ready() {
	engine_answers && dk compose version >/dev/null 2>&1 && dk buildx version >/dev/null 2>&1
}

if ready; then exit 0; fi
if [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ] && [ -z "$docker_sudo" ]; then
	fail "Docker Engine's socket is closed to user $(id -u), and there is no sudo: run this as root, or add this user to the group docker and log in again"
fi

systemd_runs() { [ -d /run/systemd/system ]; }

# What is missing, in Debian's package names.
packages=
installing_engine=no
if ! engine_answers && ! command -v dockerd >/dev/null 2>&1 && [ ! -x /usr/sbin/dockerd ]; then
	packages="docker.io docker-cli"
	installing_engine=yes
	for tool in iptables ca-certificates; do
		dpkg -s "$tool" >/dev/null 2>&1 || packages="$tool $packages"
	done
fi
dk compose version >/dev/null 2>&1 || packages="$packages docker-compose"
dk buildx version >/dev/null 2>&1 || packages="$packages docker-buildx"
# A docker without Debian's package gets its plugins with Debian's docker-cli.
if [ "$installing_engine" = yes ]; then packages="$packages docker-compose docker-buildx"; fi
packages=$(echo "$packages" | xargs -n 1 | awk '!seen[$0]++' | xargs)

# Debian 12 carries no compose 2: its packages come from trixie, at a priority
# at which apt takes nothing else from there.
use_trixie() {
	if apt-cache policy 2>/dev/null | grep -q 'n=trixie,'; then return; fi
	sources=$(apt_source trixie bookworm oldstable)
	[ -n "$sources" ] || fail "no source for bookworm in /etc/apt: cannot tell where trixie's packages are"
	security=$(apt_source trixie-security bookworm-security oldstable-security)
	say "    /etc/apt/sources.list.d/dewpoint-trixie.sources (trixie, from this machine's own mirror)"
	say "    /etc/apt/preferences.d/dewpoint-trixie (priority 100: nothing else comes from there)"
	printf '%s\n\n%s\n' "$sources" "$security" |
		as_root tee /etc/apt/sources.list.d/dewpoint-trixie.sources >/dev/null
	printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n\nPackage: *\nPin: release n=trixie-security\nPin-Priority: 100\n' |
		as_root tee /etc/apt/preferences.d/dewpoint-trixie >/dev/null
}

install_packages() {
	id=unknown codename=
	if [ -r /etc/os-release ]; then
		id=$(. /etc/os-release && printf %s "${ID:-unknown}")
		codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
	fi
	case $id in
	debian | raspbian) ;;
	*) fail "Docker Engine with compose and buildx is missing, and this is $id, not Debian: install them by hand (https://docs.docker.com/engine/install/), then run this again" ;;
	esac

	say "==> Missing here: $packages. Installing them with apt-get, and writing:"
	suffix=
	if [ "$codename" = bookworm ]; then
		use_trixie
		suffix=/trixie
	fi
	if [ "$installing_engine" = yes ] && [ ! -e /etc/docker/daemon.json ]; then
		say "    /etc/docker/daemon.json (containerd image store, for images of several platforms)"
		as_root mkdir -p /etc/docker
		printf '{"features":{"containerd-snapshotter":true}}\n' | as_root tee /etc/docker/daemon.json >/dev/null
	fi

	# Without an init system the packages must not try to start services.
	if ! systemd_runs && [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
		as_root chmod 755 /usr/sbin/policy-rc.d
		trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
		trap 'exit 130' INT TERM
	fi
	as_root apt-get -qq update ||
		fail "apt-get update failed (above): mend this machine's package sources, then run this again"
	names=
	for package in $packages; do
		case $package in
		docker*) names="$names $package$suffix" ;;
		*) names="$names $package" ;;
		esac
	done
	# shellcheck disable=SC2086 # a list of names
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
		install --no-install-recommends $names >/tmp/dewpoint-apt.$$ 2>&1 || {
		tail -n 20 /tmp/dewpoint-apt.$$ >&2
		rm -f /tmp/dewpoint-apt.$$
		fail "apt-get could not install$names (above)"
	}
	rm -f /tmp/dewpoint-apt.$$
	if [ -x /usr/bin/docker ] && [ "$DOCKER" = docker ]; then DOCKER=/usr/bin/docker; fi
}

start_engine() {
	if systemd_runs; then
		say "==> Starting Docker Engine (systemctl start docker)"
		as_root systemctl start docker || fail "systemctl start docker failed: see journalctl -u docker"
	else
		say "==> Starting Docker Engine in the background (no systemd here); its log: $log"
		as_root sh -c "setsid nohup dockerd >>$log 2>&1 </dev/null &"
	fi
	tries=0
	until as_root "$DOCKER" version >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ "$tries" -ge 150 ]; then
			[ ! -e "$log" ] || as_root tail -n 5 "$log" >&2
			fail "Docker Engine does not answer after 30 s: see $log or journalctl -u docker"
		fi
		sleep 0.2
	done
}

if [ -n "$packages" ]; then install_packages; fi
# The socket may have come only now: who may open it is decided anew.
. ci/lib.sh
if ! engine_answers; then start_engine; fi
. ci/lib.sh
ready || fail "docker is installed and its engine answers, but '$DOCKER compose' or '$DOCKER buildx' does not work: try '$DOCKER compose version' and '$DOCKER buildx version'"
say "==> Docker Engine $(dk version --format '{{.Server.Version}}') is ready"
