#include "space.h"

#include <stdio.h>
#include <stdlib.h>

#include "../cut.h"
#include "days.h"
#include "log.h"
#include "postgres.h"
#include "step.h"

int space_size(struct postgres_store *store, int64_t *bytes)
{
	int err = step_ask(
		store, "SELECT pg_database_size(current_database())", 0, NULL, NULL, bytes);
	return err < 0 ? err : 0;
}

int space_rows(struct postgres_store *store, int64_t *rows)
{
	int64_t bytes = 0;
	int err = step_ask(store,
		"SELECT sum(pg_relation_size(inhrelid))::bigint, sum(greatest(reltuples, "
		"0))::bigint FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
		" WHERE inhparent = 'reading'::regclass",
		0, NULL, NULL, &bytes);
	if (err < 0)
		return err;
	*rows = db_int(store->db, 0, 1);
	if (bytes >= EXACT_BYTES)
		store->job->report.about = true;
	else
		err = step_ask(store, "SELECT count(*) FROM reading", 0, NULL, NULL, rows);
	return err < 0 ? err : 0;
}

/* ---- too large ---- */

/* The end of the last day that has to go, so that so many bytes go, if there is one. */
#define DAYS_OF_BYTES                                                                      \
	"SELECT coalesce(min(ends) FILTER (WHERE total >= $1), max(ends)) FROM"            \
	" (SELECT begins + 86400000000 AS ends,"                                           \
	"  sum(pg_total_relation_size(part)) OVER (ORDER BY begins) AS total"              \
	"  FROM " DAYS ") AS sized WHERE ends <= $2"

static int cut_days(struct postgres_store *store, int64_t over)
{
	int64_t floor_us = store->job->run.now_us - CUT_RAW_FLOOR_US;
	struct postgres_state state;
	int err = step_state(store, &state);
	if (err != 0)
		return err;
	const int64_t numbers[] = {
		over, policy_counted_us(store->job->all, state.counted_until_us, floor_us)};
	return step_ask(store, DAYS_OF_BYTES, 2, numbers, NULL, &store->job->cut_raw_us);
}

static int cut_rollups(struct postgres_store *store, int64_t over)
{
	const struct policy *all = store->job->all;
	int64_t floor_us = store->job->run.now_us - CUT_ROLLUP_FLOOR_US, oldest_us = 0,
		bytes;
	int64_t size_s = all->n > 0 ? all->sizes[0].size_us / 1000000 : 0;
	int found = step_ask(store,
		"SELECT " MICROSECONDS(
			"min((SELECT min(ts) FROM rollup WHERE size = $1"
			" AND sensor = c.sensor AND col = c.col))") " FROM channel AS c",
		1, &size_s, NULL, &oldest_us);
	if (found <= 0 || oldest_us >= floor_us)
		return found < 0 ? found : 0;
	found = step_ask(
		store, "SELECT pg_total_relation_size('rollup')", 0, NULL, NULL, &bytes);
	if (found < 0)
		return found;
	store->job->cut_rollup_us =
		cut_at(oldest_us, floor_us, (double)over / (double)bytes);
	return 1;
}

static const char repack_owed[] =
	"space of deleted rollups could not be given back: see the log of the pruner";

/* Said once, until it has worked. The next run tries again; this one goes on. */
static void owe_repack(struct postgres_store *store)
{
	if (!store->repack_owed)
		dp_log(DP_LOG_WARN,
			"the table rollup could not be written anew to give back the space "
			"of what was deleted; each run tries again: end long queries, make "
			"room for a second copy of it, or run VACUUM FULL rollup by hand",
			"store=%s error=\"%s\"", db_name(store->db), db_why(store->db));
	store->repack_owed = true;
	store->job->report.reason = repack_owed;
}

/* Without the limit of time that others have. */
static int vacuum(struct postgres_store *store, const char *sql)
{
	int err = db_run(store->db, "SET statement_timeout = 0", NULL);
	db_patience(store->db);
	return err == 0 ? db_run(store->db, sql, NULL) : err;
}

/*
 * Space within the table is its own; only a new one is smaller. ingest never uses it.
 * However it ends, the order is carried out: what is owed then is tried once a run.
 */
static int repack(struct postgres_store *store)
{
	store->repack = false;
	if (vacuum(store, "VACUUM FULL rollup") == 0)
		store->repack_owed = false;
	else
		owe_repack(store);
	/* Without a session there is nothing to go on with. */
	return db_restore_limit(store->db);
}

#define LITTLE "20000"
#define KEEP_LITTLE                                                                        \
	"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT r.* FROM sensor s"                \
	" CROSS JOIN LATERAL (SELECT * FROM reading_default WHERE sensor = s.id"           \
	"  LIMIT " LITTLE ") AS r LIMIT " LITTLE

/*
 * One row at its end keeps a table as long as it was: where little is left, the table is
 * filled anew. Who stores into it waits for that.
 */
static int shrink_default(struct postgres_store *store)
{
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_run(store, "LOCK TABLE reading_default IN ACCESS EXCLUSIVE MODE", 0,
		NULL, NULL);
	if (err == 0)
		err = step_run(store, KEEP_LITTLE, 0, NULL, NULL);
	if (err != 0 || db_changed(store->db) >= strtoll(LITTLE, NULL, 10))
		return step_end(store, err);
	return step_end_with(store, "TRUNCATE reading_default;"
				    " INSERT INTO reading_default SELECT * FROM kept");
}

/* If it fails, what comes there next uses the space, and others go for it this once. */
static int vacuum_default(struct postgres_store *store)
{
	store->vacuum = false;
	int err = vacuum(store, "VACUUM reading_default");
	if (err == 0)
		err = shrink_default(store);
	if (err != 0)
		dp_log(DP_LOG_WARN,
			"the space of readings that were ahead could not be given back now",
			"store=%s error=\"%s\"", db_name(store->db), db_why(store->db));
	return db_restore_limit(store->db);
}

/* Some of those that no partition is made for. @return as db_run() */
static int delete_ahead(struct postgres_store *store, int64_t *deleted)
{
	struct postgres_state state;
	int err = step_state(store, &state);
	if (err != 0)
		return err;
	int64_t ahead_us = cut_ahead_us(store->job->run.now_us, state.run_wall_us);
	const int64_t numbers[] = {ahead_us < EVER_US ? ahead_us : EVER_US,
		store->job->strides[PHASE_SIZE].amount};
	err = step_run(store,
		"DELETE FROM reading_default WHERE ctid = ANY (ARRAY(SELECT r.ctid"
		" FROM sensor s CROSS JOIN LATERAL (SELECT ctid FROM reading_default"
		"  WHERE sensor = s.id AND clock = " CUT_AHEAD_MARK "  AND ts > " DP_TIME_1
		" LIMIT $2) AS r LIMIT $2))",
		2, numbers, NULL);
	if (err == 0)
		*deleted = db_changed(store->db);
	return err;
}

/* What goes to make space, after what is ahead. @return 1 from PHASE_DAYS on, 0, or an
 * error */
static int cut(struct postgres_store *store, int64_t over, bool *rollups)
{
	int found = cut_days(store, over);
	/* Without a table written anew deleting more rollups gains nothing. */
	if (found != 0 || store->repack_owed)
		return found;
	found = cut_rollups(store, over);
	*rollups = found == 1;
	return found;
}

int space_make(void *data)
{
	struct postgres_store *store = data;
	int64_t used = 0, deleted = 0, most = store->job->run.max_bytes;
	bool rollups = false;
	int found = 0;
	if (store->repack)
		return repack(store);
	if (most == 0)
		return 1;
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	err = space_size(store, &used);
	if (err == 0 && used > most)
		err = delete_ahead(store, &deleted);
	if (err == 0 && used > most && deleted == 0 && !store->vacuum)
		found = cut(store, used - most, &rollups);
	err = step_end(store, found < 0 ? found : err);
	if (err != 0)
		return err;
	if (deleted > 0) {
		store->job->rows = deleted;
		store->job->report.readings += deleted;
		store->vacuum = true;
		return 0;
	}
	if (store->vacuum)
		return vacuum_default(store);
	if (found == 1) {
		store->repack = rollups;
		return STEP_TO(PHASE_DAYS);
	}
	if (used > most && store->job->report.reason == NULL)
		store->job->report.reason = cut_floor_reached;
	return 1;
}

/* ---- the end of a run ---- */

/* A partition at a time, the earliest first. */
static int find_oldest(struct postgres_store *store, int64_t *oldest_us)
{
	char name[DAY_NAME_MAX], sql[256];
	int64_t begins_us = 0, in_default_us = 0;
	int found, any = 0;
	for (int64_t from_us = 0; any == 0; from_us = begins_us + DAY_US) {
		found = days_next(store, from_us, &begins_us, name);
		if (found <= 0)
			break;
		snprintf(sql, sizeof(sql),
			"SELECT " MICROSECONDS(
				"min((SELECT min(ts) FROM %s"
				" WHERE sensor = s.id))") " FROM sensor AS s",
			name);
		found = any = step_ask(store, sql, 0, NULL, NULL, oldest_us);
	}
	if (found < 0)
		return found;
	found = step_ask(store,
		"SELECT " MICROSECONDS("min((SELECT min(ts) FROM reading_default"
				       " WHERE sensor = s.id))") " FROM sensor AS s",
		0, NULL, NULL, &in_default_us);
	if (found == 1 && (any == 0 || in_default_us < *oldest_us))
		*oldest_us = in_default_us;
	return found < 0 ? found : 0;
}

int space_end(void *data)
{
	struct postgres_store *store = data;
	const struct prune_run *run = &store->job->run;
	struct prune_report *report = &store->job->report;
	const int64_t when[] = {run->now_us, run->boot_us};
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	if (report->outcome == PRUNE_DID)
		err = step_run(store,
			"UPDATE retention SET run_wall = $1, run_boot_us = $2,"
			" run_boot_id = $3",
			2, when, store->job->boot);
	report->oldest_us = 0;
	if (err == 0)
		err = space_size(store, &report->bytes_after);
	if (err == 0)
		err = space_rows(store, &report->rows_after);
	if (err == 0)
		err = find_oldest(store, &report->oldest_us);
	err = step_end(store, err);
	return err != 0 ? err : 1;
}
