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

need_engine() {
	dk version >/dev/null 2>&1 ||
		fail "Docker Engine does not answer (or not to this user): make up installs and starts it"
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
