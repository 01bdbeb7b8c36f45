#include "prune.h"

#include <stdlib.h>

#include "log.h"
#include "sqlite.h"

#define ROWS_A_STEP 5000
#define PAGES_A_STEP 256

enum phase { PRUNE_READINGS, PRUNE_STREAMS, PRUNE_VACUUM, PRUNE_DONE };

struct prune {
	sqlite3 *db;
	sqlite3_stmt *next_sensor, *bound, *delete;
	enum phase phase;
	int64_t sensor; /* at hand */
	int64_t before_us, streams_before_us;
};

int prune_open(struct prune **out, const char *store_url)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (prune == NULL)
		dp_log_out_of_memory("the pruner's store");
	prune->phase = PRUNE_DONE;
	int err = dp_store_open(&prune->db, store_url);
	if (err == 0)
		err = dp_sqlite_prepare(prune->db,
			"SELECT id FROM sensor WHERE id > ? ORDER BY id LIMIT 1",
			&prune->next_sensor);
	if (err == 0)
		err = dp_sqlite_prepare(prune->db,
			"SELECT ts FROM reading WHERE sensor = ? AND ts < ? ORDER BY ts "
			"LIMIT ?",
			&prune->bound);
	if (err == 0)
		err = dp_sqlite_prepare(prune->db,
			"DELETE FROM reading WHERE sensor = ? AND ts <= ?", &prune->delete);
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
	sqlite3_finalize(prune->next_sensor);
	sqlite3_finalize(prune->bound);
	sqlite3_finalize(prune->delete);
	sqlite3_close(prune->db);
	free(prune);
}

int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us)
{
	return dp_lease_renew(prune->db, lease, now_us);
}

int prune_release(struct prune *prune, struct dp_lease *lease)
{
	return dp_lease_release(prune->db, lease);
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
	sqlite3_bind_int64(prune->delete, 1, prune->sensor);
	sqlite3_bind_int64(prune->delete, 2, bound);
	err = dp_sqlite_run(prune->delete);
	if (err == 0)
		*rows = sqlite3_changes64(prune->db);
	return err;
}

static int step_streams(struct prune *prune, int64_t *rows)
{
	char sql[640];
	sqlite3_snprintf(sizeof(sql), sql,
		"BEGIN IMMEDIATE;"
		"CREATE TEMP TABLE gone AS SELECT id FROM stream WHERE seen < %lld LIMIT "
		"%d;"
		"DELETE FROM stream_interval WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM lost WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM stream WHERE id IN (SELECT id FROM gone);"
		"DROP TABLE gone;"
		"COMMIT",
		(sqlite3_int64)prune->streams_before_us, ROWS_A_STEP / 10);
	int64_t before = sqlite3_total_changes64(prune->db);
	int err = dp_sqlite_exec(prune->db, sql);
	if (err != 0) {
		if (sqlite3_get_autocommit(prune->db) == 0)
			dp_sqlite_exec(prune->db, "ROLLBACK");
		return err;
	}
	*rows = sqlite3_total_changes64(prune->db) - before;
	if (*rows == 0)
		prune->phase = PRUNE_VACUUM;
	return 0;
}

/* Give free pages back to the file system. */
static int step_vacuum(struct prune *prune)
{
	char sql[64];
	int64_t before = 0, after = 0;
	int err = dp_sqlite_int(prune->db, "PRAGMA freelist_count", &before);
	if (err != 0)
		return err;
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA incremental_vacuum(%d)", PAGES_A_STEP);
	err = dp_sqlite_exec(prune->db, sql);
	if (err == 0)
		err = dp_sqlite_int(prune->db, "PRAGMA freelist_count", &after);
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
