#!/bin/sh
# The entry point of the image postgres: makes the cluster if there is none, and becomes
# the server. A cluster that was not finished is made anew.
set -eu

data=/data/postgres
# A volume that ingest and the pruner read, as the same user: STORE_URL names the file.
password_file=/secret/pgpass

if [ ! -d "$data" ]; then
	rm -rf "$data.new"
	# The socket is in this container only.
	initdb --pgdata="$data.new" --username=postgres --auth-local=trust \
		--auth-host=scram-sha-256 --encoding=UTF8 \
		--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
	echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
	postgres --single -D "$data.new" postgres <<-END
		CREATE ROLE dewpoint LOGIN
		CREATE DATABASE dewpoint OWNER dewpoint
	END
	mv "$data.new" "$data"
fi

# Nobody but the stack's own services knows it. A cluster of an earlier version asked its
# network for none, which the host's users reach as well.
if [ ! -f "$password_file" ]; then
	umask 077
	read -r password </proc/sys/kernel/random/uuid
	while IFS= read -r line; do
		[ "$line" = 'host dewpoint dewpoint samenet trust' ] || printf '%s\n' "$line"
	done <"$data/pg_hba.conf" >"$data/pg_hba.conf.new"
	mv "$data/pg_hba.conf.new" "$data/pg_hba.conf"
	postgres --single -D "$data" postgres <<-END
		ALTER ROLE dewpoint PASSWORD '$password'
	END
	echo "*:*:dewpoint:dewpoint:$password" >"$password_file.new"
	mv "$password_file.new" "$password_file"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/run/dewpoint \
	-c log_checkpoints=off "$@"
