#include "insert_sqlite.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "number.h"

#define NEXT_ID_MAX (INT64_MAX / 2)
#define TRIM_SHARE 2000

static const char *const sql[STATEMENTS] = {
	/* A row a column, part by part; one without, if a part has none. */
	[FIND_SENSOR] = "SELECT id, part, col, quantity, unit FROM sensor"
			" LEFT JOIN channel ON channel.sensor = sensor.id"
			" WHERE topic = ? AND name = ? ORDER BY part, col",
	[ADD_SENSOR] =
		"INSERT INTO sensor (topic, name, part) VALUES (?, ?, ?) RETURNING id",
	[ADD_CHANNEL] =
		"INSERT INTO channel (sensor, col, quantity, unit) VALUES (?, ?, ?, ?)",
	[ADD_READINGS] = ROWS_INSERT(ROWS_COLUMNS),
	[ADD_WIDE_READINGS] = ROWS_INSERT(ROWS_COLUMNS ROWS_MORE),
	[FIND_STREAM] = "SELECT id, node, seen, first, last FROM stream"
			" LEFT JOIN stream_interval AS held ON held.stream = stream.id"
			" WHERE stream.stream = ? ORDER BY first",
	[ADD_STREAM] =
		"INSERT INTO stream (stream, node, created, seen) VALUES (?, ?, ?3, ?3)"
		" RETURNING id",
	[SEEN_STREAM] = "UPDATE stream SET seen = ? WHERE id = ?",
	[LOST_STREAM] = "UPDATE stream SET lost = lost + ? WHERE id = ?",
	[ADD_INTERVAL] = "INSERT INTO stream_interval VALUES (?, ?, ?)",
	[SET_INTERVAL] =
		"UPDATE stream_interval SET last = ?3 WHERE stream = ?1 AND first = ?2",
	[DROP_INTERVAL] = "DELETE FROM stream_interval WHERE stream = ? AND first = ?",
	/* Before each interval that does not begin with the first number is one. */
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
	[NEXT_ID] = "SELECT reading, (SELECT counted_until FROM retention) FROM next_id",
	[ADD_LATE] = "INSERT INTO late VALUES (?, ?, ?, ?, 0, ?)",
	[SET_NEXT_ID] = "UPDATE next_id SET reading = ?",
};

/* ---- opening ---- */

static int prepare_all(struct insert *insert)
{
	int err = rows_register(insert->store.db, &insert->rows);
	for (int i = 0; i < STATEMENTS && err == 0; i++)
		err = dp_sqlite_prepare(insert->store.db, sql[i], &insert->statements[i]);
	return err;
}

static void finalize_all(struct insert *insert)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(insert->statements[i]);
		insert->statements[i] = NULL;
	}
	series_clear(&insert->series);
}

/* Open what is at the path; a damaged file is set aside first. */
static int open_again(struct insert *insert, int64_t now_us)
{
	finalize_all(insert);
	int err = insert->damaged ? -EUCLEAN : dp_store_reopen(&insert->store);
	if (err == 0)
		err = prepare_all(insert);
	if (err == -EUCLEAN) {
		finalize_all(insert);
		insert->damaged = true;
		err = dp_store_replace(&insert->store, now_us);
		if (err == 0)
			err = prepare_all(insert);
	}
	insert->damaged = err != 0 && insert->damaged;
	return err;
}

int insert_open(struct insert **out, const struct insert_options *options, int64_t now_us)
{
	struct insert *insert = calloc(1, sizeof(*insert));
	if (insert == NULL)
		dp_log_out_of_memory("the store");
	insert->options = *options;
	int err = dp_store_open(&insert->store, options->store_url);
	if (err == 0)
		err = prepare_all(insert);
	insert->damaged = err == -EUCLEAN;
	if (insert->damaged)
		err = open_again(insert, now_us);
	if (err != 0) {
		insert_close(insert);
		return err;
	}
	*out = insert;
	return 0;
}

void insert_close(struct insert *insert)
{
	if (insert == NULL)
		return;
	finalize_all(insert);
	dp_intervals_finish(&insert->set);
	dp_intervals_finish(&insert->before);
	free(insert->printed.at);
	dp_store_close(&insert->store);
	free(insert);
}

/* What a transaction met that opening again may mend. @return whether to try once more */
static bool mend(struct insert *insert, int err, int64_t now_us, int *result)
{
	if (err == -ESTALE)
		dp_log(DP_LOG_WARN, "another file is at the database's path now, using it",
			"file=%s", insert->store.path);
	insert->damaged = insert->damaged || err == -EUCLEAN;
	*result = err;
	if (err != -ESTALE && err != -EUCLEAN && insert->store.db != NULL)
		return false;
	*result = open_again(insert, now_us);
	return *result == 0;
}

const char *insert_why(const struct insert *insert)
{
	return insert->why[0] != '\0' ? insert->why : NULL;
}

const char *insert_store(const struct insert *insert)
{
	return insert->store.id;
}

const struct insert_counts *insert_counts(const struct insert *insert)
{
	return &insert->counts;
}

int insert_run(struct insert *insert, enum statement which)
{
	return dp_sqlite_run(insert->statements[which]);
}

sqlite3_stmt *insert_bind(
	struct insert *insert, enum statement which, int n, const int64_t *values)
{
	sqlite3_stmt *statement = insert->statements[which];
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(statement, i + 1, values[i]);
	return statement;
}

int insert_dead_letter(
	struct context *c, const char *reason, uint64_t seq, const char *text, size_t len)
{
	struct insert *insert = c->insert;
	sqlite3_stmt *statement = insert->statements[ADD_DEAD];
	size_t kept = len < insert->options.max_message_bytes
			      ? len
			      : insert->options.max_message_bytes;
	sqlite3_bind_int64(statement, 1, c->in->received_us);
	sqlite3_bind_text(statement, 2, c->in->topic,
		(int)dp_utf8_cut(c->in->topic, DEAD_TOPIC_MAX), SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, insert_reason(c, reason), -1, SQLITE_STATIC);
	if (c->in->plain || c->in->identity_error != 0)
		sqlite3_bind_null(statement, 4);
	else
		sqlite3_bind_blob(statement, 4, c->in->identity.stream.bytes,
			DP_STREAM_BYTES, SQLITE_STATIC);
	if (seq == 0)
		sqlite3_bind_null(statement, 5);
	else
		sqlite3_bind_int64(statement, 5, (int64_t)seq);
	sqlite3_bind_int64(statement, 6, (int64_t)len);
	sqlite3_bind_blob(statement, 7, text, (int)kept, SQLITE_STATIC);
	insert->dead = true;
	insert->pending.dead_letters++;
	dead_log_add(&insert->dead_log, c->in->topic, reason, c->now_us);
	return insert_run(insert, ADD_DEAD);
}

static int read_next_id(struct insert *insert)
{
	sqlite3_stmt *statement = insert->statements[NEXT_ID];
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		insert->next_id = sqlite3_column_int64(statement, 0);
		insert->counted_until_us = sqlite3_column_int64(statement, 1);
	}
	sqlite3_reset(statement);
	/* Somebody has been at the tables: not a damage for which a history is set aside.
	 */
	if (code == SQLITE_DONE)
		return -ENODATA;
	if (code == SQLITE_ROW && (insert->next_id < 1 || insert->next_id > NEXT_ID_MAX))
		return -EUCLEAN;
	return dp_sqlite_error(code);
}

/*
 * Whether the lease is still ours, within the transaction: a holder that was frozen
 * and wakes up finds another number here and stores nothing.
 */
static int check_fence(struct insert *insert, struct dp_lease *fence)
{
	sqlite3_stmt *statement = insert->statements[FIND_LEASE];
	sqlite3_bind_text(statement, 1, fence->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, fence->holder, -1, SQLITE_STATIC);
	int code = sqlite3_step(statement);
	fence->held = fence->held && code == SQLITE_ROW &&
		      sqlite3_column_int64(statement, 0) == fence->number;
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

/* To sort them all for each new one would be slow when many are kept. */
static bool is_trim_due(const struct insert *insert)
{
	return insert->untrimmed > (uint64_t)insert->options.dead_letters_max / TRIM_SHARE;
}

static int write_all(struct insert *insert, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us)
{
	int err = read_next_id(insert);
	int64_t first_id = insert->next_id;
	int64_t ahead_us = insert_ahead_us(now_us);
	bool checked = false;
	for (const struct incoming *in = list; in != NULL && err == 0; in = in->next) {
		struct context c = {insert, &insert->options, &insert->pending, in, results,
			now_us, ahead_us};
		insert->pending.messages++;
		if (!in->plain) {
			err = insert_batch(&c);
			continue;
		}
		if (!checked)
			err = check_fence(insert, fence);
		checked = true;
		if (err == 0 && fence->held)
			err = insert_plain(&c);
	}
	if (err == 0)
		err = insert_leave_stream(insert);
	if (err == 0)
		err = insert_flush(insert);
	if (err == 0 && insert->next_id != first_id) {
		insert_bind(insert, SET_NEXT_ID, 1, &insert->next_id);
		err = insert_run(insert, SET_NEXT_ID);
	}
	insert->untrimmed += insert->pending.dead_letters;
	if (err == 0 && insert->dead && is_trim_due(insert)) {
		insert->untrimmed = 0;
		insert_bind(insert, TRIM_DEAD, 1, &insert->options.dead_letters_max);
		err = insert_run(insert, TRIM_DEAD);
	}
	return err;
}

static int try_commit(struct insert *insert, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us)
{
	size_t answered = results->n;
	insert->pending = (struct insert_counts){.messages = 0};
	insert->printed.len = 0;
	insert->why[0] = '\0';
	insert->dead = false;
	dead_log_undo(&insert->dead_log);
	insert->rows.n = 0;
	insert->rows.set = 0;
	insert->stream.id = 0;
	if (insert->series.parts > SERIES_MAX)
		series_clear(&insert->series);
	/* What is read in it stays true until the commit, replicas or not. */
	int err = dp_store_begin(&insert->store);
	if (err != 0)
		return err;
	err = write_all(insert, list, fence, results, now_us);
	if (err == -EIO) {
		snprintf(insert->why, sizeof(insert->why), "%s",
			sqlite3_errmsg(insert->store.db));
		err = insert_is_refused(insert) ? -EDOM : err;
	}
	if (err == 0)
		err = dp_store_commit(&insert->store);
	else
		dp_store_rollback(&insert->store);
	if (err == 0)
		return 0;
	series_clear(&insert->series);
	results->n = answered;
	return err;
}

int insert_commit(struct insert *insert, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us)
{
	int err = insert->store.db == NULL
			  ? -EBADF
			  : try_commit(insert, list, fence, results, now_us);
	if (err != 0 && mend(insert, err, now_us, &err))
		err = try_commit(insert, list, fence, results, now_us);
	if (err == -EDOM)
		err = insert_judge(insert);
	if (err != 0)
		return err;
	insert_add_counts(&insert->counts, &insert->pending);
	dead_log_commit(&insert->dead_log, now_us);
	printed_flush(&insert->printed);
	return 0;
}

int insert_lease(struct insert *insert, struct dp_lease *lease, int64_t now_us)
{
	int err = insert->store.db == NULL ? -EBADF
					   : dp_lease_renew(&insert->store, lease, now_us);
	if (err != 0 && mend(insert, err, now_us, &err))
		err = dp_lease_renew(&insert->store, lease, now_us);
	return err;
}

int insert_release(struct insert *insert, struct dp_lease *lease)
{
	return insert->store.db == NULL ? -EBADF : dp_lease_release(&insert->store, lease);
}

int insert_gaps(struct insert *insert, uint64_t *gaps)
{
	if (insert->store.db == NULL)
		return -EBADF;
	sqlite3_stmt *statement = insert->statements[COUNT_GAPS];
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*gaps = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}
