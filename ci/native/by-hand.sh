#!/bin/sh
# A service's other commands (--help, --healthcheck, --probe ...) with the settings that
# its unit has. Called by the service's name: dewpoint-sampler, dewpoint-ingest ...
set -eu
name=$(basename "$0")
service=${name#dewpoint-}
if [ $# -eq 0 ]; then
	echo "$name: started by systemd: systemctl start $name. By hand it takes an option; $name --help lists them" >&2
	exit 1
fi

export BOARDS_DIR="${BOARDS_DIR:-@DATADIR@/boards}"
for file in "@CONFDIR@/$service.env" @CONFDIR@/identity/*/"$service.env"; do
	[ -e "$file" ] || continue
	if [ ! -r "$file" ]; then
		if [ "$1" = --help ] || [ "$1" = --version ]; then continue; fi
		echo "$name: the settings in $file are for root to read: run this with sudo" >&2
		exit 1
	fi
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in [A-Z]*=*) ;; *) continue ;; esac
		value=${line#*=}
		case $value in
		\"*\" | \'*\')
			value=${value#?}
			value=${value%?}
			;;
		esac
		export "${line%%=*}=$value"
	done <"$file"
done
exec "@LIBDIR@/$service" "$@"
