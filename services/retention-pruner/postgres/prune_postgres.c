#include "prune_postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define OLDEST_SERVER 140000
#define COUNT_US 200000 /* nobody waits for a step, but its transaction should be short */
#define DELETE_US 100000

/* What a step may do at first, at least and at most: rows; of counting, seconds of time. */
static const struct stride strides[PHASES] = {
	[PHASE_COUNT] = {3600, 60, 86400, COUNT_US},
	[PHASE_LATE] = {10000, 500, 200000, COUNT_US},
	[PHASE_READINGS] = {5000, 500, 20000, DELETE_US},
	[PHASE_ROLLUPS] = {5000, 500, 20000, DELETE_US},
};

const char prune_service[] = "retention-pruner-postgres";
const char prune_url_fallback[] = "postgresql://dewpoint@postgres/dewpoint";
const char prune_url_help[] = "the database: postgresql://user:password@host:port/database";

const char *prune_check_url(const char *value)
{
	return dp_postgres_check_url(value);
}

const char *prune_check_min_free(int64_t bytes)
{
	return bytes == 0 ? NULL
			  : "0: PostgreSQL does not say what its volume has free; "
			    "MAX_DB_BYTES limits the database";
}

int prune_open(struct prune **out, const char *store_url)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (prune == NULL)
		dp_log_out_of_memory("the pruner's store");
	prune->phase = PHASE_DONE;
	db_open(&prune->db, store_url);
	*out = prune;
	return 0;
}

void prune_close(struct prune *prune)
{
	if (prune == NULL)
		return;
	groups_finish(&prune->groups);
	db_close(prune->db);
	free(prune);
}

void prune_hurry(struct prune *prune)
{
	db_hurry(prune->db);
}

const char *prune_why(const struct prune *prune)
{
	const char *why = db_why(prune->db);
	return *why != '\0' ? why : NULL;
}

/* ---- the session ---- */

/*
 * Whoever else wants a lock waits behind us, so we do not wait for long. What a crash
 * of the server takes back of us is done again, so a commit need not be on the disk.
 */
static const char settings[] =
	"SET lock_timeout = '300ms'; SET idle_in_transaction_session_timeout = '10s';"
	"SET client_connection_check_interval = '2s'; SET synchronous_commit = off;"
	"SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET jit = off;"
	"SET max_parallel_workers_per_gather = 0; SET work_mem = '16MB'";

static int refuse(struct prune *prune, int err, const char *why)
{
	db_disconnect(prune->db);
	db_say_why(prune->db, why);
	return err;
}

/* Of a session that is new: whether this is a database for us. */
static int prepare(struct prune *prune)
{
	struct db *db = prune->db;
	char why[128];
	if (db_server_version(db) < OLDEST_SERVER)
		return refuse(prune, -ENOTSUP, "PostgreSQL 14 or newer is needed");
	int err = db_run(db, settings, NULL);
	if (err == 0)
		err = db_run(db, "SELECT to_regclass('dewpoint_schema') IS NULL", NULL);
	if (err != 0)
		return err;
	if (db_text(db, 0, 0)[0] == 't')
		return refuse(
			prune, -ENOENT, "there is no schema yet; ingest-postgres makes it");
	err = db_run(db, "SELECT coalesce(max(version), 0) FROM dewpoint_schema", NULL);
	if (err != 0)
		return err;
	long long version = db_int(db, 0, 0);
	if (version >= DP_POSTGRES_SCHEMA)
		return 0; /* a newer one is refused by the first step */
	snprintf(why, sizeof(why),
		"the schema is of version %lld; ingest-postgres brings it to %d", version,
		DP_POSTGRES_SCHEMA);
	return refuse(prune, -ENOENT, why);
}

static int connect_again(struct prune *prune)
{
	bool fresh = false;
	int err = db_connect(prune->db, &fresh);
	if (err == 0 && fresh) {
		err = prepare(prune);
		/* It may be another database: a run that was under way looks again. */
		if (prune->phase != PHASE_DONE)
			prune_begin(prune, &prune->run);
	}
	return err;
}

/* ---- the lease, on the database's clock ---- */

int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us)
{
	const char *const texts[] = {lease->name, lease->holder};
	const struct db_values values = {1, 2, &lease->ttl_us, texts};
	(void)now_us;
	int err = connect_again(prune);
	if (err == 0)
		err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = db_run(prune->db,
		"INSERT INTO lease AS old VALUES"
		" ($2, $3, 1, clock_timestamp() + $1 * interval '1 microsecond')"
		" ON CONFLICT (name) DO UPDATE SET holder = $3, expires = excluded.expires,"
		"  number = old.number + (old.holder <> $3)::integer"
		" WHERE old.holder = $3 OR old.expires < clock_timestamp()"
		" RETURNING number",
		&values);
	bool held = err == 0 && db_rows(prune->db) > 0;
	int64_t number = held ? db_int(prune->db, 0, 0) : 0;
	err = step_end(prune, err);
	if (err != 0)
		return err;
	lease->held = held;
	lease->number = number;
	return 0;
}

int prune_release(struct prune *prune, struct dp_lease *lease)
{
	const char *const texts[] = {lease->name, lease->holder};
	const struct db_values values = {1, 2, &lease->number, texts};
	lease->held = false;
	return db_run(prune->db,
		"UPDATE lease SET expires = '-infinity'"
		" WHERE number = $1 AND name = $2 AND holder = $3",
		&values);
}

/* ---- a run ---- */

static void rewind_targets(struct prune *prune)
{
	prune->target = (struct target){.group = 0};
	prune->day_us = -1;
}

void prune_begin(struct prune *prune, const struct prune_run *run)
{
	prune->run = *run;
	prune->report = (struct prune_report){.outcome = PRUNE_DID};
	prune->phase = PHASE_CHECK;
	/* Little to do was no sign that much goes as quickly: begin carefully again. */
	for (int i = 0; i < PHASES; i++)
		prune->strides[i] = strides[i];
	prune->cut_raw_us = prune->cut_rollup_us = INT64_MIN;
	prune->repack = false;
	rewind_targets(prune);
	for (int i = 0; i < LEVELS; i++)
		prune->due[i] = prune->kept[i] = 0;
}

static int step(struct prune *prune, int64_t *rows)
{
	switch (prune->phase) {
	case PHASE_CHECK:
		return look_check(prune);
	case PHASE_DUE:
		return look_due(prune);
	case PHASE_KEPT:
		return look_kept(prune);
	case PHASE_LOOK:
		return look_all(prune);
	case PHASE_MARK:
		return count_mark(prune);
	case PHASE_COUNT:
		return count_some(prune);
	case PHASE_LATE:
		return count_late(prune);
	case PHASE_DAYS:
		return days_drop(prune, rows);
	case PHASE_READINGS:
		return remove_readings(prune, rows);
	case PHASE_ROLLUPS:
		return remove_rollups(prune, rows);
	case PHASE_STREAMS:
		return remove_streams(prune, rows);
	case PHASE_SIZE:
		return space_check(prune);
	case PHASE_END:
		return space_end(prune);
	case PHASE_DONE:
		break;
	}
	return 0;
}

int prune_step(struct prune *prune, int64_t *rows, bool *done)
{
	prune->stepped = prune->phase;
	*rows = 0;
	int result = step(prune, rows);
	if (result == 1) {
		/* A dry run ends where it has looked; others do not look. */
		prune->phase = prune->phase == PHASE_LOOK ? PHASE_END : prune->phase + 1;
		if (prune->phase == PHASE_LOOK)
			prune->phase = PHASE_MARK;
	}
	if (prune->phase != prune->stepped)
		rewind_targets(prune);
	*done = prune->phase == PHASE_DONE;
	return result < 0 ? result : 0;
}

void prune_took(struct prune *prune, int64_t took_us)
{
	stride_took(&prune->strides[prune->stepped], took_us);
}

int prune_checkpoint(struct prune *prune)
{
	(void)prune; /* the server does */
	return 0;
}

const struct prune_report *prune_report(const struct prune *prune)
{
	return &prune->report;
}
