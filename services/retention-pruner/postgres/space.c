/* How large the database is, and what else has to go. */
#include <stdio.h>
#include <stdlib.h>

#include "../cut.h"
#include "../jump.h"
#include "log.h"
#include "prune_postgres.h"

int space_size(struct prune *prune, int64_t *bytes)
{
	int err = step_ask(
		prune, "SELECT pg_database_size(current_database())", 0, NULL, NULL, bytes);
	return err < 0 ? err : 0;
}

int space_rows(struct prune *prune, int64_t *rows)
{
	int64_t bytes = 0;
	int err = step_ask(prune,
		"SELECT sum(pg_relation_size(inhrelid))::bigint, sum(greatest(reltuples, "
		"0))::bigint FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
		" WHERE inhparent = 'reading'::regclass",
		0, NULL, NULL, &bytes);
	if (err < 0)
		return err;
	*rows = db_int(prune->db, 0, 1);
	if (bytes >= EXACT_BYTES)
		prune->report.about = true;
	else
		err = step_ask(prune, "SELECT count(*) FROM reading", 0, NULL, NULL, rows);
	return err < 0 ? err : 0;
}

/* ---- too large ---- */

/* The end of the last day that has to go, so that so many bytes go, if there is one. */
#define DAYS_OF_BYTES                                                                      \
	"SELECT coalesce(min(ends) FILTER (WHERE total >= $1), max(ends)) FROM"            \
	" (SELECT begins + 86400000000 AS ends,"                                           \
	"  sum(pg_total_relation_size(part)) OVER (ORDER BY begins) AS total"              \
	"  FROM " DAYS ") AS sized WHERE ends <= $2"

static int cut_days(struct prune *prune, int64_t over)
{
	const struct policy *all = &prune->run.policies->all;
	int64_t floor_us = prune->run.now_us - CUT_RAW_FLOOR_US;
	struct state state;
	int err = step_state(prune, &state);
	if (err != 0)
		return err;
	/* What is not counted yet does not go. */
	if (all->n > 0 && state.counted_until_us < floor_us)
		floor_us = state.counted_until_us;
	const int64_t numbers[] = {over, floor_us};
	return step_ask(prune, DAYS_OF_BYTES, 2, numbers, NULL, &prune->cut_raw_us);
}

static int cut_rollups(struct prune *prune, int64_t over)
{
	const struct policy *all = &prune->run.policies->all;
	int64_t floor_us = prune->run.now_us - CUT_ROLLUP_FLOOR_US, oldest_us = 0, bytes;
	int64_t size_s = all->n > 0 ? all->sizes[0].size_us / 1000000 : 0;
	int found = step_ask(prune,
		"SELECT " MICROSECONDS(
			"min((SELECT min(ts) FROM rollup WHERE size = $1"
			" AND sensor = c.sensor AND col = c.col))") " FROM channel AS c",
		1, &size_s, NULL, &oldest_us);
	if (found <= 0 || oldest_us >= floor_us)
		return found < 0 ? found : 0;
	found = step_ask(
		prune, "SELECT pg_total_relation_size('rollup')", 0, NULL, NULL, &bytes);
	if (found < 0)
		return found;
	prune->cut_rollup_us = cut_at(oldest_us, floor_us, (double)over / (double)bytes);
	return 1;
}

static const char repack_owed[] =
	"space of deleted rollups could not be given back: see the log of the pruner";

/* Said once, until it has worked. The next run tries again; this one goes on. */
static void owe_repack(struct prune *prune)
{
	if (!prune->repack_owed)
		dp_log(DP_LOG_WARN,
			"the table rollup could not be written anew to give back the space "
			"of what was deleted; each run tries again: end long queries, make "
			"room for a second copy of it, or run VACUUM FULL rollup by hand",
			"store=%s error=\"%s\"", db_name(prune->db), db_why(prune->db));
	prune->repack_owed = true;
	prune->report.reason = repack_owed;
}

/* Without the limit of time that others have. */
static int vacuum(struct prune *prune, const char *sql)
{
	int err = db_run(prune->db, "SET statement_timeout = 0", NULL);
	db_patience(prune->db);
	return err == 0 ? db_run(prune->db, sql, NULL) : err;
}

/*
 * Space within the table is its own; only a new one is smaller. ingest never uses it.
 * However it ends, the order is carried out: what is owed then is tried once a run.
 */
static int repack(struct prune *prune)
{
	prune->repack = false;
	if (vacuum(prune, "VACUUM FULL rollup") == 0)
		prune->repack_owed = false;
	else
		owe_repack(prune);
	/* Without a session there is nothing to go on with. */
	return db_restore_limit(prune->db);
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
static int shrink_default(struct prune *prune)
{
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_run(prune, "LOCK TABLE reading_default IN ACCESS EXCLUSIVE MODE", 0,
		NULL, NULL);
	if (err == 0)
		err = step_run(prune, KEEP_LITTLE, 0, NULL, NULL);
	if (err != 0 || db_changed(prune->db) >= strtoll(LITTLE, NULL, 10))
		return step_end(prune, err);
	return step_end_with(prune, "TRUNCATE reading_default;"
				    " INSERT INTO reading_default SELECT * FROM kept");
}

/* If it fails, what comes there next uses the space, and others go for it this once. */
static int vacuum_default(struct prune *prune)
{
	prune->vacuum = false;
	int err = vacuum(prune, "VACUUM reading_default");
	if (err == 0)
		err = shrink_default(prune);
	if (err != 0)
		dp_log(DP_LOG_WARN,
			"the space of readings that were ahead could not be given back now",
			"store=%s error=\"%s\"", db_name(prune->db), db_why(prune->db));
	return db_restore_limit(prune->db);
}

/* Some of those that no partition is made for. @return as db_run() */
static int delete_ahead(struct prune *prune, int64_t *deleted)
{
	struct state state;
	int err = step_state(prune, &state);
	if (err != 0)
		return err;
	int64_t ahead_us = cut_ahead_us(prune->run.now_us, state.run_wall_us);
	const int64_t numbers[] = {
		ahead_us < EVER_US ? ahead_us : EVER_US, prune->strides[PHASE_SIZE].amount};
	err = step_run(prune,
		"DELETE FROM reading_default WHERE ctid = ANY (ARRAY(SELECT r.ctid"
		" FROM sensor s CROSS JOIN LATERAL (SELECT ctid FROM reading_default"
		"  WHERE sensor = s.id AND clock = " CUT_AHEAD_MARK
		"  AND ts > " DP_POSTGRES_TIME("$1") " LIMIT $2) AS r LIMIT $2))",
		2, numbers, NULL);
	if (err == 0)
		*deleted = db_changed(prune->db);
	return err;
}

/* What goes to make space, after what is ahead. @return 1 from PHASE_DAYS on, 0, or an
 * error */
static int cut(struct prune *prune, int64_t over, bool *rollups)
{
	int found = cut_days(prune, over);
	/* Without a table written anew deleting more rollups gains nothing. */
	if (found != 0 || prune->repack_owed)
		return found;
	found = cut_rollups(prune, over);
	*rollups = found == 1;
	return found;
}

int space_check(struct prune *prune, int64_t *rows)
{
	int64_t used = 0, deleted = 0, most = prune->run.max_bytes;
	bool rollups = false;
	int found = 0;
	if (prune->repack)
		return repack(prune);
	if (most == 0)
		return 1;
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = space_size(prune, &used);
	if (err == 0 && used > most)
		err = delete_ahead(prune, &deleted);
	if (err == 0 && used > most && deleted == 0 && !prune->vacuum)
		found = cut(prune, used - most, &rollups);
	err = step_end(prune, found < 0 ? found : err);
	if (err != 0)
		return err;
	if (deleted > 0) {
		*rows = deleted;
		prune->report.readings += deleted;
		prune->vacuum = true;
		return 0;
	}
	if (prune->vacuum)
		return vacuum_default(prune);
	if (found == 1) {
		prune->repack = rollups;
		prune->phase = PHASE_DAYS;
		return 0;
	}
	if (used > most && prune->report.reason == NULL)
		prune->report.reason = cut_floor_reached;
	return 1;
}

/* ---- the end of a run ---- */

/* A partition at a time, the earliest first. */
static int find_oldest(struct prune *prune, int64_t *oldest_us)
{
	char name[DAY_NAME_MAX], sql[256];
	int64_t begins_us = 0, in_default_us = 0;
	int found, any = 0;
	for (int64_t from_us = 0; any == 0; from_us = begins_us + DAY_US) {
		found = days_next(prune, from_us, &begins_us, name);
		if (found <= 0)
			break;
		snprintf(sql, sizeof(sql),
			"SELECT " MICROSECONDS(
				"min((SELECT min(ts) FROM %s"
				" WHERE sensor = s.id))") " FROM sensor AS s",
			name);
		found = any = step_ask(prune, sql, 0, NULL, NULL, oldest_us);
	}
	if (found < 0)
		return found;
	found = step_ask(prune,
		"SELECT " MICROSECONDS("min((SELECT min(ts) FROM reading_default"
				       " WHERE sensor = s.id))") " FROM sensor AS s",
		0, NULL, NULL, &in_default_us);
	if (found == 1 && (any == 0 || in_default_us < *oldest_us))
		*oldest_us = in_default_us;
	return found < 0 ? found : 0;
}

int space_end(struct prune *prune)
{
	const struct prune_run *run = &prune->run;
	struct prune_report *report = &prune->report;
	const int64_t when[] = {run->now_us, run->boot_us};
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	char boot[JUMP_BOOT_MAX];
	jump_boot(boot, run->boot_id, run->synchronised);
	if (report->outcome == PRUNE_DID)
		err = step_run(prune,
			"UPDATE retention SET run_wall = $1, run_boot_us = $2,"
			" run_boot_id = $3",
			2, when, boot);
	if (report->reason == NULL && run->policies->ambiguous)
		report->reason = policies_ambiguous;
	report->oldest_us = 0;
	if (err == 0)
		err = space_size(prune, &report->bytes_after);
	if (err == 0)
		err = space_rows(prune, &report->rows_after);
	if (err == 0)
		err = find_oldest(prune, &report->oldest_us);
	err = step_end(prune, err);
	return err != 0 ? err : 1;
}
