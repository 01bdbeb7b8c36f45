#include "statements.h"

#include <errno.h>
#include <stdio.h>

#include "../cut.h"

#define KEYED                                                                              \
	" WHERE sensor = ?1 AND (ts, id) > (?2, ?3) AND ts < ?4 ORDER BY ts, id LIMIT ?5"

static const char *const sql[SQLITE_STATEMENTS] = {
	[NEXT_SENSOR] =
		"SELECT id, topic, name FROM sensor WHERE id > ? ORDER BY id LIMIT 1",
	[ALL_SENSORS] = "SELECT topic, name FROM sensor WHERE id > 0",
	[READ_STATE] = "SELECT counted_since, counted_until, counted_id, sensor, ts, id,"
		       " removed, run_wall, run_boot_us, reading, run_boot_id"
		       " FROM retention, next_id",
	[SET_MARK] = "UPDATE retention SET counted_since = ?, counted_until = ?,"
		     " counted_id = ?, sensor = 0, ts = 0, id = 0",
	[SET_CURSOR] = "UPDATE retention SET sensor = ?, ts = ?, id = ?",
	[SET_RUN] = "UPDATE retention SET run_wall = ?, run_boot_us = ?, run_boot_id = ?",
	[ADD_REMOVED] = "UPDATE retention SET removed = removed + ?",
	[UNCOUNTED] = "SELECT 1 FROM sensor s CROSS JOIN reading r ON r.sensor = s.id"
		      " AND r.ts >= ? AND r.ts < ? LIMIT 1",
	[WIDTH] = "SELECT max(col) FROM channel WHERE sensor = ?",
	[SCAN] = "SELECT ts, id, temperature, humidity FROM reading" KEYED,
	[SCAN_WIDE] = "SELECT ts, id, temperature, humidity, v2, v3, v4, v5, v6, v7"
		      " FROM reading" KEYED,
	[ADD_BUCKET] =
		"INSERT INTO rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT DO UPDATE SET count = count + excluded.count,"
		"  min = min(min, excluded.min), max = max(max, excluded.max),"
		"  sum = max(-1.7e308, min(1.7e308, sum + excluded.sum)),"
		"  first = iif(excluded.first_after < first_after, excluded.first, first),"
		"  first_after = min(first_after, excluded.first_after),"
		"  last = iif(excluded.last_after >= last_after, excluded.last, last),"
		"  last_after = max(last_after, excluded.last_after)",
	[NEXT_LATE] = "SELECT sensor, first, last, ts, id, until FROM late"
		      " WHERE (sensor, first) > (?, ?) ORDER BY sensor, first LIMIT 1",
	[LEAVE_LATE] = "INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?, ?, ?)",
	[SET_LATE] = "UPDATE late SET ts = ?, id = ? WHERE sensor = ? AND first = ?",
	[DROP_LATE] = "DELETE FROM late WHERE sensor = ? AND first = ?",
	[FORGET_LATE] = "DELETE FROM late",
	[FIND_BOUND] = "SELECT ts, id FROM reading WHERE sensor = ? AND ts < ?"
		       " ORDER BY ts, id LIMIT 1 OFFSET ?",
	[DELETE_BEFORE] = "DELETE FROM reading WHERE sensor = ? AND ts < ?",
	[DELETE_TO] = "DELETE FROM reading WHERE sensor = ? AND (ts, id) <= (?, ?)",
	[DELETE_AHEAD] =
		"DELETE FROM reading WHERE (sensor, ts, id) IN (SELECT r.sensor, r.ts,"
		" r.id FROM sensor s CROSS JOIN reading r ON r.sensor = s.id AND r.ts > ?"
		" WHERE r.clock = " CUT_AHEAD_MARK " LIMIT ?)",
	[COUNT_DUE] =
		"SELECT count(*) FROM reading WHERE sensor = ? AND ts >= ? AND ts < ?",
	[COUNT_KEPT] = "SELECT count(*) FROM (SELECT 1 FROM reading WHERE sensor = ? AND"
		       " ts >= ? LIMIT ?)",
	[OLDEST] = "SELECT min((SELECT ts FROM reading WHERE sensor = s.id"
		   " ORDER BY ts LIMIT 1)) FROM sensor s",
	[NEWEST] = "SELECT max(ifnull((SELECT max((SELECT ts FROM reading WHERE sensor ="
		   " s.id ORDER BY ts DESC LIMIT 1)) FROM sensor s), 0),"
		   " ifnull((SELECT max(seen) FROM stream), 0))",
	[NEXT_SIZE] = "SELECT min(size) FROM rollup WHERE size > ? AND size <= 604800",
	[NEXT_SERIES] =
		"SELECT r.sensor, s.topic, s.name, r.col FROM rollup r JOIN sensor s"
		" ON s.id = r.sensor WHERE r.size = ? AND (r.sensor, r.col) > (?, ?)"
		" ORDER BY r.sensor, r.col LIMIT 1",
	[FIND_ROLLUP_BOUND] =
		"SELECT ts FROM rollup WHERE size = ? AND sensor = ? AND col = ?"
		" AND ts < ? ORDER BY ts LIMIT 1 OFFSET ?",
	[DELETE_ROLLUPS] = "DELETE FROM rollup WHERE size = ? AND sensor = ? AND col = ?"
			   " AND ts < ?",
	[COUNT_ROLLUPS_DUE] =
		"SELECT count(*) FROM rollup WHERE size = ? AND sensor = ? AND"
		" col = ? AND ts >= ? AND ts < ?",
	[COUNT_ROLLUPS_KEPT] =
		"SELECT count(*) FROM (SELECT 1 FROM rollup WHERE size = ? AND"
		" sensor = ? AND col = ? AND ts >= ? LIMIT ?)",
	[OLDEST_ROLLUP] = "SELECT min((SELECT ts FROM rollup WHERE size = ?1 AND sensor ="
			  " c.sensor AND col = c.col ORDER BY ts LIMIT 1)) FROM channel c",
	/* Sorted only when there are so many. */
	[STREAM_KEPT] = "SELECT (SELECT seen FROM stream ORDER BY seen DESC LIMIT 1"
			" OFFSET ?1 - 1) WHERE (SELECT count(*) FROM stream) > ?1",
};

static int note_log(void *data, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_store *store = data;
	(void)db, (void)name;
	store->wal_pages = pages;
	return SQLITE_OK;
}

int sql_prepare(struct sqlite_store *store)
{
	/*
	 * Our commits need not be on the disk one by one: what a power cut undoes is done
	 * again, and ingest's next commit takes ours along. The log is written into the
	 * file by the checkpoint, not in the middle of a step. A step needs few pages
	 * at a time.
	 */
	int err = dp_sqlite_exec(store->file.db,
		"PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
		"PRAGMA cache_size=-512");
	if (err == 0)
		err = dp_sqlite_int(store->file.db, "PRAGMA page_size", &store->page_bytes);
	sqlite3_wal_hook(store->file.db, note_log, store);
	for (int i = 0; i < SQLITE_STATEMENTS && err == 0; i++)
		err = dp_sqlite_prepare(store->file.db, sql[i], &store->statements[i]);
	return err;
}

void sql_finalize(struct sqlite_store *store)
{
	for (int i = 0; i < SQLITE_STATEMENTS; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
}

sqlite3_stmt *sql_bind(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values)
{
	sqlite3_stmt *statement = store->statements[which];
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(statement, i + 1, values[i]);
	return statement;
}

int sql_run(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values)
{
	return dp_sqlite_run(sql_bind(store, which, n, values));
}

int sql_row(struct sqlite_store *store, enum sqlite_statement which, int n,
	const int64_t *values, int columns, int64_t *out)
{
	sqlite3_stmt *statement = sql_bind(store, which, n, values);
	int code = sqlite3_step(statement), found = 0;
	if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
		found = 1;
		for (int i = 0; i < columns; i++)
			out[i] = sqlite3_column_int64(statement, i);
	}
	sqlite3_reset(statement);
	int err = dp_sqlite_error(code);
	return err != 0 ? err : found;
}

const char *sql_text(sqlite3_stmt *statement, int column)
{
	const char *found = (const char *)sqlite3_column_text(statement, column);
	return found != NULL ? found : "";
}

int sql_state(struct sqlite_store *store, struct sqlite_state *state)
{
	sqlite3_stmt *statement = store->statements[READ_STATE];
	int64_t *const numbers[] = {&state->since_us, &state->until_us, &state->before_id,
		&state->sensor, &state->ts_us, &state->id, &state->removed,
		&state->run_wall_us, &state->run_boot_us, &state->next_id};
	int n = (int)(sizeof(numbers) / sizeof(numbers[0]));
	int code = sqlite3_step(statement);
	for (int i = 0; code == SQLITE_ROW && i < n; i++)
		*numbers[i] = sqlite3_column_int64(statement, i);
	if (code == SQLITE_ROW)
		snprintf(state->run_boot_id, sizeof(state->run_boot_id), "%s",
			sql_text(statement, n));
	sqlite3_reset(statement);
	return code == SQLITE_DONE ? -ENODATA : dp_sqlite_error(code);
}

int sql_end(struct sqlite_store *store, int err)
{
	if (err == 0)
		return dp_store_commit(&store->file);
	dp_store_rollback(&store->file);
	return err;
}
