#include "prune.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "sqlite.h"

#define ROWS_A_STEP 5000
#define PAGES_A_STEP 256

enum phase { PRUNE_READINGS, PRUNE_STREAMS, PRUNE_VACUUM, PRUNE_DONE };

struct prune {
	struct dp_store store;
	sqlite3_stmt *next_sensor, *bound, *delete;
	enum phase phase;
	int64_t sensor; /* at hand */
	int64_t before_us, streams_before_us;
};

static int prepare_all(struct prune *prune)
{
	sqlite3 *db = prune->store.db;
	int err = dp_sqlite_prepare(db,
		"SELECT id FROM sensor WHERE id > ? ORDER BY id LIMIT 1",
		&prune->next_sensor);
	if (err == 0)
		err = dp_sqlite_prepare(db,
			"SELECT ts FROM reading WHERE sensor = ? AND ts < ? ORDER BY ts "
			"LIMIT ?",
			&prune->bound);
	if (err == 0)
		err = dp_sqlite_prepare(db,
			"DELETE FROM reading WHERE sensor = ? AND ts <= ?", &prune->delete);
	return err;
}

static void finalize_all(struct prune *prune)
{
	sqlite3_finalize(prune->next_sensor);
	sqlite3_finalize(prune->bound);
	sqlite3_finalize(prune->delete);
	prune->next_sensor = prune->bound = prune->delete = NULL;
}

int prune_open(struct prune **out, const char *store_url)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (prune == NULL)
		dp_log_out_of_memory("the pruner's store");
	prune->phase = PRUNE_DONE;
	int err = dp_store_open(&prune->store, store_url);
	if (err == -EUCLEAN)
		dp_log(DP_LOG_ERROR, "the database is damaged; ingest will set it aside",
			"file=%s", prune->store.path);
	if (err == 0)
		err = prepare_all(prune);
	if (err != 0) {
		prune_close(prune);
		return err;
	}
	*out = prune;
	return 0;
}

void prune_close(struct prune *prune)
{
	if (prune == NULL)
		return;
	finalize_all(prune);
	dp_store_close(&prune->store);
	free(prune);
}

/* ingest has begun a new file: what was under way is over. */
static int open_again(struct prune *prune)
{
	finalize_all(prune);
	prune->phase = PRUNE_DONE;
	int err = dp_store_reopen(&prune->store);
	return err != 0 ? err : prepare_all(prune);
}

int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us)
{
	int err = prune->store.db != NULL ? dp_lease_renew(&prune->store, lease, now_us)
					  : -ESTALE;
	if (err != -ESTALE)
		return err;
	err = open_again(prune);
	return err != 0 ? err : dp_lease_renew(&prune->store, lease, now_us);
}

int prune_release(struct prune *prune, struct dp_lease *lease)
{
	return prune->store.db != NULL ? dp_lease_release(&prune->store, lease) : 0;
}

void prune_begin(struct prune *prune, int64_t before_us, int64_t streams_before_us)
{
	prune->phase = PRUNE_READINGS;
	prune->sensor = 0;
	prune->before_us = before_us;
	prune->streams_before_us = streams_before_us;
}

/* @return 1 and the next sensor, 0 when there is none, or an error */
static int go_to_next_sensor(struct prune *prune)
{
	sqlite3_bind_int64(prune->next_sensor, 1, prune->sensor);
	int code = sqlite3_step(prune->next_sensor);
	if (code == SQLITE_ROW)
		prune->sensor = sqlite3_column_int64(prune->next_sensor, 0);
	sqlite3_reset(prune->next_sensor);
	return code == SQLITE_ROW ? 1 : dp_sqlite_error(code);
}

/* The newest time among the oldest rows of the sensor that are due; found without a lock.
 */
static int find_bound(struct prune *prune, int64_t *bound, int64_t *rows)
{
	sqlite3_stmt *statement = prune->bound;
	sqlite3_bind_int64(statement, 1, prune->sensor);
	sqlite3_bind_int64(statement, 2, prune->before_us);
	sqlite3_bind_int64(statement, 3, ROWS_A_STEP);
	int code;
	*rows = 0;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		*bound = sqlite3_column_int64(statement, 0);
		(*rows)++;
	}
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

static int end(struct prune *prune, int err)
{
	if (err == 0)
		return dp_store_commit(&prune->store);
	dp_store_rollback(&prune->store);
	return err;
}

static int step_readings(struct prune *prune, int64_t *rows)
{
	int64_t bound = 0, due = 0;
	int err = 0;
	if (prune->sensor > 0)
		err = find_bound(prune, &bound, &due);
	if (err != 0)
		return err;
	if (due == 0) {
		int found = go_to_next_sensor(prune);
		if (found == 0)
			prune->phase = PRUNE_STREAMS;
		return found < 0 ? found : 0;
	}
	err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	sqlite3_bind_int64(prune->delete, 1, prune->sensor);
	sqlite3_bind_int64(prune->delete, 2, bound);
	err = dp_sqlite_run(prune->delete);
	int64_t deleted = sqlite3_changes64(prune->store.db);
	err = end(prune, err);
	*rows = err == 0 ? deleted : 0;
	return err;
}

static int step_streams(struct prune *prune, int64_t *rows)
{
	char sql[640];
	sqlite3_snprintf(sizeof(sql), sql,
		"CREATE TEMP TABLE gone AS SELECT id FROM stream WHERE seen < %lld LIMIT "
		"%d;"
		"DELETE FROM stream_interval WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM lost WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM stream WHERE id IN (SELECT id FROM gone);"
		"DROP TABLE gone",
		(sqlite3_int64)prune->streams_before_us, ROWS_A_STEP / 10);
	int err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	int64_t before = sqlite3_total_changes64(prune->store.db);
	err = end(prune, dp_sqlite_exec(prune->store.db, sql));
	if (err != 0)
		return err;
	*rows = sqlite3_total_changes64(prune->store.db) - before;
	if (*rows == 0)
		prune->phase = PRUNE_VACUUM;
	return 0;
}

/* Give free pages back to the file system. */
static int step_vacuum(struct prune *prune)
{
	char sql[64];
	int64_t before = 0, after = 0;
	int err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	err = dp_sqlite_int(prune->store.db, "PRAGMA freelist_count", &before);
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA incremental_vacuum(%d)", PAGES_A_STEP);
	if (err == 0)
		err = dp_sqlite_exec(prune->store.db, sql);
	if (err == 0)
		err = dp_sqlite_int(prune->store.db, "PRAGMA freelist_count", &after);
	err = end(prune, err);
	if (err == 0 && (after == 0 || after >= before))
		prune->phase = PRUNE_DONE;
	return err;
}

int prune_step(struct prune *prune, int64_t *rows, bool *done)
{
	int err = 0;
	*rows = 0;
	if (prune->phase == PRUNE_READINGS)
		err = step_readings(prune, rows);
	else if (prune->phase == PRUNE_STREAMS)
		err = step_streams(prune, rows);
	else if (prune->phase == PRUNE_VACUUM)
		err = step_vacuum(prune);
	*done = prune->phase == PRUNE_DONE;
	return err;
}
