#!/bin/sh
# The entry point of the image postgres: makes the cluster if there is none, and becomes
# the server. A cluster that was not finished is made anew.
set -eu

data=/data/postgres
if [ ! -d "$data" ]; then
	rm -rf "$data.new"
	initdb --pgdata="$data.new" --username=postgres --auth=trust --encoding=UTF8 \
		--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
	# The network is nobody else's: see scale.yml. From elsewhere a password is wanted.
	{
		echo 'host dewpoint dewpoint samenet trust'
		echo 'host all all all scram-sha-256'
	} >>"$data.new/pg_hba.conf"
	postgres --single -D "$data.new" postgres <<-END
		CREATE ROLE dewpoint LOGIN
		CREATE DATABASE dewpoint OWNER dewpoint
	END
	mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/run/dewpoint \
	-c log_checkpoints=off "$@"
