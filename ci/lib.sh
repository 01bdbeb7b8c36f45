# shellcheck shell=sh
# What the scripts of this folder share: messages, root, docker, the host's
# package source. Sourced, not run.

say() { printf '%s\n' "$@"; }
fail() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# Another docker earlier on PATH may shadow Debian's, so that one is the default.
if [ -z "${DOCKER:-}" ]; then
	if [ -x /usr/bin/docker ]; then DOCKER=/usr/bin/docker; else DOCKER=docker; fi
fi
export DOCKER

# The toolchain image, whatever REGISTRY and TAG say of the others.
DEV_IMAGE=${DEV_IMAGE:-localhost/dewpoint/${TOOLCHAIN:-dev}:latest}
export DEV_IMAGE

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		fail "needs root for: $* (there is no sudo here; run it as root)"
	fi
}

# docker, through sudo where the engine's socket is closed to this user.
docker_sudo=
if [ -z "${DOCKER_HOST:-}" ] && [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ] &&
	command -v sudo >/dev/null 2>&1; then
	docker_sudo="sudo -E"
fi
# shellcheck disable=SC2086 # "sudo -E" or nothing
dk() { $docker_sudo "$DOCKER" "$@"; }

# again LOG COMMAND...: up to three times, as a registry fails now and then; what the last one
# said is in LOG.
again() {
	again_log=$1
	shift
	for again_wait in 2 10; do
		if "$@" >"$again_log" 2>&1; then return 0; fi
		# What is not there or not allowed stays so.
		case $(cat "$again_log") in
		*"no matching manifest"* | *"no match for platform"* | *denied* | *unauthorized* | \
			*"not found"* | *"connection refused"*) return 1 ;;
		esac
		say "    trying again in $again_wait s: $(tail -n 1 "$again_log")"
		sleep "${AGAIN_WAIT_S:-$again_wait}"
	done
	"$@" >"$again_log" 2>&1
}

need_engine() {
	dk version >/dev/null 2>&1 ||
		fail "Docker Engine does not answer (or not to this user): make up installs and starts it"
}

# Whether the engine keeps images as they are pushed and pulled, of several platforms.
containerd_store() {
	case $(dk info --format '{{.DriverStatus}}') in
	*io.containerd.snapshotter*) ;;
	*) return 1 ;;
	esac
}

# shellcheck disable=SC2034 # for whoever sources this
needs_containerd_store='this engine keeps one platform an image, without its compressed layers; this needs the containerd image store: put {"features": {"containerd-snapshotter": true}} into /etc/docker/daemon.json, restart Docker Engine, and run this again'

# program_names: each folder of services/ with a main.c, and those with PostgreSQL in place
# of SQLite, one a line.
program_names() {
	for main in services/*/main.c; do
		[ -e "$main" ] || fail "no service found: services/*/main.c"
		basename "$(dirname "$main")"
	done
	for folder in services/*/postgres; do
		echo "$(basename "$(dirname "$folder")")-postgres"
	done
}

# image_names: every image: the programs, mosquitto's, sqlite3's and what makes identities.
image_names() {
	program_names
	printf 'broker\ntool\nprovision\n'
}

# platform_list WORDS: native, all, or platforms, as a comma-separated list.
platform_list() {
	known=linux/amd64,linux/arm64,linux/arm/v7
	wanted=$1
	case $wanted in
	all) wanted=$known ;;
	native)
		case $(dk version --format '{{.Server.Arch}}') in
		arm) wanted=linux/arm/v7 ;;
		*) wanted=linux/$(dk version --format '{{.Server.Arch}}') ;;
		esac
		;;
	esac
	for platform in $(printf '%s' "$wanted" | tr , ' '); do
		case ,$known, in
		*",$platform,"*) ;;
		*) fail "no image is built for $platform: PLATFORMS is native, all, or of $known" ;;
		esac
	done
	printf '%s\n' "$wanted"
}

# What git knows, unless it is said from outside: version, revision, epoch (the time of the
# last commit), source (where the repository is, if that is a URL). Empty where unknown.
# shellcheck disable=SC2034 # for whoever sources this
source_version() {
	# A checkout may belong to somebody else, or be no repository at all.
	in_git() { git -c safe.directory='*' "$@" 2>/dev/null; }
	version=${VERSION:-$(in_git describe --tags --always --dirty || echo unknown)}
	revision=${REVISION:-$(in_git rev-parse HEAD || :)}
	epoch=${SOURCE_DATE_EPOCH:-$(in_git log -1 --format=%ct || :)}
	source=${SOURCE:-$(in_git config --get remote.origin.url | grep -E '^https?://[^@]*$' || :)}
}

# apt_source TO FROM...: the host's own apt entry for one of the suites FROM, as
# a deb822 paragraph with the suite TO and the component main. Prints nothing
# when there is none. Reads .sources and one-line .list files.
apt_source() {
	to=$1
	shift
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		/etc/apt/sources.list.d/*.sources; do
		[ -r "$file" ] || continue
		found=$(awk -v to="$to" -v from=" $* " -f ci/apt-source.awk "$file")
		if [ -n "$found" ]; then
			printf '%s\n' "$found"
			return
		fi
	done
}
