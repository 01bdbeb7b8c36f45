#!/bin/sh
# A Docker Engine of this container's own: its images, its network. Says "ready" once it answers.
#
#   engine trixie        26.1, which keeps images as layers
#   engine containerd    the same, which keeps them as they are pulled (the containerd image store)
#   engine bookworm      20.10
set -eu
case $1 in
trixie) ;;
containerd)
	mkdir -p /etc/docker
	echo '{"features": {"containerd-snapshotter": true}}' >/etc/docker/daemon.json
	;;
bookworm) export PATH="/bookworm/usr/sbin:/bookworm/usr/bin:$PATH" ;;
*)
	echo "engine: $1: known are trixie, containerd and bookworm" >&2
	exit 1
	;;
esac
dockerd >/var/log/dockerd.log 2>&1 &
engine=$!
trap 'kill "$engine"; wait "$engine"' TERM
until docker version >/dev/null 2>&1; do
	kill -0 "$engine" 2>/dev/null || {
		tail -n 20 /var/log/dockerd.log
		exit 1
	}
	sleep 0.1
done
echo "ready: $(docker version --format '{{.Server.Version}}')"
wait "$engine"
