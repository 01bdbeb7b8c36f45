#!/bin/sh
# Stop the lab and keep its readings; with --data delete them, after asking.
set -eu
cd "$(dirname "$0")/.."
. ci/lib.sh

if ! dk version >/dev/null 2>&1; then
	say "Docker Engine is not running here, so the lab is not either."
	exit 0
fi
volumes=
if [ "${1:-}" = --data ]; then
	printf 'Delete all readings of the lab (the volumes of dewpoint-lab; a real broker is not touched)? [y/N] '
	read -r answer || answer=
	case $answer in
	y | Y | yes) volumes=--volumes ;;
	*)
		say "Nothing was deleted."
		exit 0
		;;
	esac
fi
dk compose -f compose/lab.yml down --remove-orphans $volumes
