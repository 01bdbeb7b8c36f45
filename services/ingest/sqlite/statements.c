#include "statements.h"

#include "rows.h"

static const char *const sql[STATEMENTS] = {
	/* For each part of the sensor, in order: a row for each column; without columns,
	 * one row with NULL. */
	[FIND_SENSOR] = "SELECT id, part, col, quantity, unit FROM sensor"
			" LEFT JOIN channel ON channel.sensor = sensor.id"
			" WHERE topic = ? AND name = ? ORDER BY part, col",
	[ADD_SENSOR] =
		"INSERT INTO sensor (topic, name, part) VALUES (?, ?, ?) RETURNING id",
	[ADD_CHANNEL] =
		"INSERT INTO channel (sensor, col, quantity, unit) VALUES (?, ?, ?, ?)",
	[ADD_READINGS] = ROWS_INSERT(ROWS_COLUMNS),
	[ADD_WIDE_READINGS] = ROWS_INSERT(ROWS_COLUMNS ROWS_MORE),
	[FIND_STREAM] = "SELECT id, node, seen, first, last, run.sum, stream.sum"
			" FROM stream"
			" LEFT JOIN stream_interval AS run ON run.stream = stream.id"
			" WHERE stream.stream = ? ORDER BY first",
	[ADD_STREAM] = "INSERT INTO stream (stream, node, created, seen, sum)"
		       " VALUES (?1, ?2, ?3, ?3, ?4) RETURNING id",
	[SEEN_STREAM] = "UPDATE stream SET seen = ?2, sum = ?3 WHERE id = ?1",
	[LOST_STREAM] = "UPDATE stream SET lost = lost + ? WHERE id = ?",
	[ADD_INTERVAL] = "INSERT INTO stream_interval (stream, first, last, sum)"
			 " VALUES (?, ?, ?, ?)",
	[SET_INTERVAL] = "UPDATE stream_interval SET last = ?3, sum = ?4"
			 " WHERE stream = ?1 AND first = ?2",
	[DROP_INTERVAL] = "DELETE FROM stream_interval WHERE stream = ? AND first = ?",
	/* There is a gap before each interval, unless it begins with number 1. */
	[COUNT_GAPS] = "SELECT count(*) FROM stream_interval WHERE first > 1",
	[ADD_LOST] = "INSERT INTO lost VALUES (?, ?, ?, ?)",
	[ADD_DEAD] =
		"INSERT INTO dead_letter (ts, topic, reason, stream, seq, bytes, payload)"
		" VALUES (?, ?, ?, ?, ?, ?, ?)",
	/* Native topics and the others have half each, and what the other half leaves; in
	 * a half each topic's newest are kept, as many of each. */
	[TRIM_DEAD] = "DELETE FROM dead_letter WHERE id IN"
		      " (SELECT id FROM (SELECT *, row_number() OVER"
		      "   (PARTITION BY native ORDER BY nth, id DESC) AS place"
		      "  FROM (SELECT id, topic LIKE '%/batch' AS native, row_number() OVER"
		      "    (PARTITION BY topic ORDER BY id DESC) AS nth FROM dead_letter))"
		      " ORDER BY place, id DESC LIMIT -1 OFFSET ?)",
	[FIND_LEASE] = "SELECT number FROM lease WHERE name = ? AND holder = ?",
	[NEXT_ID] = "SELECT reading, (SELECT counted_until FROM retention), sum"
		    " FROM next_id",
	/* Of all readings; of those that are deleted, counted_id remembers the last. */
	[LARGEST_ID] = "SELECT max(ifnull((SELECT max(id) FROM reading), 0),"
		       " ifnull((SELECT counted_id - 1 FROM retention), 0))",
	[ADD_LATE] = "INSERT INTO late (sensor, first, last, ts, id, until)"
		     " VALUES (?, ?, ?, ?, 0, ?)",
	[SET_NEXT_ID] = "UPDATE next_id SET reading = ?, sum = ?",
};

int statements_prepare(struct statements *statements, sqlite3 *db)
{
	int err = 0;
	for (int i = 0; i < STATEMENTS && err == 0; i++)
		err = dp_sqlite_prepare(db, sql[i], &statements->at[i]);
	return err;
}

void statements_finalize(struct statements *statements)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(statements->at[i]);
		statements->at[i] = NULL;
	}
}

int statements_run(
	struct statements *statements, enum statement which, int n, const int64_t *values)
{
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(statements->at[which], i + 1, values[i]);
	return dp_sqlite_run(statements->at[which]);
}
