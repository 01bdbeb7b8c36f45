#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "postgres.h"
#include "step.h"

#define OLDEST_SERVER 140000
#define LIMIT_MS                                                                           \
	"55000" /* of a statement, by the server; an earlier end is what others say */

/* ---- the session ---- */

/*
 * Whoever else wants a lock waits behind us, so we do not wait for long. What a crash
 * of the server takes back of us is done again, so a commit need not be on the disk.
 */
static const char settings[] =
	"SET lock_timeout = '300ms'; SET idle_in_transaction_session_timeout = '10s';"
	"SET client_connection_check_interval = '2s'; SET synchronous_commit = off;"
	"SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET jit = off;"
	"SET max_parallel_workers_per_gather = 0; SET work_mem = '16MB';"
	"SELECT set_config('statement_timeout', '" LIMIT_MS "', false) FROM pg_settings"
	" WHERE name = 'statement_timeout'"
	" AND setting::bigint NOT BETWEEN 1 AND " LIMIT_MS ";"
	"SELECT setting FROM pg_settings WHERE name = 'statement_timeout'";

static int refuse(struct postgres_store *store, int err, const char *why)
{
	db_say_why(store->db, why);
	return err;
}

/* Of a session that is new: whether this is a database for us, and which. */
static int prepare(struct postgres_store *store, char store_id[STORE_ID_MAX])
{
	struct db *db = store->db;
	char why[128];
	if (db_server_version(db) < OLDEST_SERVER)
		return refuse(store, -ENOTSUP, "PostgreSQL 14 or newer is needed");
	int err = db_run(db, settings, NULL);
	if (err != 0)
		return err;
	db_limit(db, db_int(db, 0, 0));
	store->job->limit_us = db_int(db, 0, 0) * 1000;
	err = db_run(db, "SELECT to_regclass('dewpoint_schema') IS NULL", NULL);
	if (err != 0)
		return err;
	if (db_text(db, 0, 0)[0] == 't')
		return refuse(
			store, -ENOENT, "there is no schema yet; ingest-postgres makes it");
	err = db_run(db, "SELECT coalesce(max(version), 0) FROM dewpoint_schema", NULL);
	if (err != 0)
		return err;
	long long version = db_int(db, 0, 0);
	if (version > DP_POSTGRES_SCHEMA)
		return 0; /* refused by the next step */
	if (version == DP_POSTGRES_SCHEMA) {
		err = db_run(db, "SELECT encode(id, 'hex') FROM store", NULL);
		if (err == 0 && db_rows(db) == 0)
			err = -ENODATA;
		if (err == 0)
			snprintf(store_id, STORE_ID_MAX, "%s", db_text(db, 0, 0));
		return err;
	}
	snprintf(why, sizeof(why),
		"the schema is of version %lld; ingest-postgres brings it to %d", version,
		DP_POSTGRES_SCHEMA);
	return refuse(store, -ENOENT, why);
}

/* A session that could not be prepared is none: the next call makes another. */
static int connect_again(struct postgres_store *store, bool *replaced)
{
	char store_id[STORE_ID_MAX];
	bool fresh = false;
	int err = db_connect(store->db, &fresh);
	if (err != 0 || !fresh)
		return err;
	snprintf(store_id, sizeof(store_id), "%s", store->store_id);
	err = prepare(store, store_id);
	if (err != 0) {
		db_disconnect(store->db);
		return err;
	}
	/* In the same database a run that was under way goes on. */
	*replaced = strcmp(store_id, store->store_id) != 0;
	snprintf(store->store_id, sizeof(store->store_id), "%s", store_id);
	return 0;
}

/* ---- the lease, on the database's clock ---- */

int session_lease(void *data, struct dp_lease *lease, int64_t now_us, bool *replaced)
{
	struct postgres_store *store = data;
	const char *const texts[] = {lease->name, lease->holder};
	const struct db_values values = {1, 2, &lease->ttl_us, texts};
	(void)now_us;
	int err = connect_again(store, replaced);
	if (err == 0)
		err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	err = db_run(store->db,
		"INSERT INTO lease AS old VALUES"
		" ($2, $3, 1, clock_timestamp() + $1 * interval '1 microsecond')"
		" ON CONFLICT (name) DO UPDATE SET holder = $3, expires = excluded.expires,"
		"  number = old.number + (old.holder <> $3)::integer"
		" WHERE old.holder = $3 OR old.expires < clock_timestamp()"
		/* As when it was written under a clock that was ahead. */
		"  OR old.expires > clock_timestamp() + 2 * $1 * interval '1 microsecond'"
		" RETURNING number",
		&values);
	bool held = err == 0 && db_rows(store->db) > 0;
	int64_t number = held ? db_int(store->db, 0, 0) : 0;
	err = step_end(store, err);
	if (err != 0)
		return err;
	lease->held = held;
	lease->number = number;
	return 0;
}

int session_release(void *data, struct dp_lease *lease)
{
	struct postgres_store *store = data;
	const char *const texts[] = {lease->name, lease->holder};
	const struct db_values values = {1, 2, &lease->number, texts};
	lease->held = false;
	return db_run(store->db,
		"UPDATE lease SET expires = '-infinity'"
		" WHERE number = $1 AND name = $2 AND holder = $3",
		&values);
}
