#include "transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "multirange.h"
#include "postgres.h"
#include "session.h"

#define AGAIN_MAX 5 /* deadlocks and the like */
#define EPOCH_US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"
#define READING_VALUES "temperature, humidity, v2, v3, v4, v5, v6, v7"

/* The rows of an ordinary message, with keys that no other row has; rolled back. */
static const char ordinary[] = SESSION_BEGIN
	";"
	"INSERT INTO sensor (id, topic, name) OVERRIDING SYSTEM VALUE VALUES (-1, '', '');"
	"INSERT INTO channel (sensor, col, quantity, unit)"
	" VALUES (-1, 0, 'temperature', 'Cel');"
	"WITH new AS (INSERT INTO stream (stream, node, created, seen, stored)"
	"  VALUES (decode(md5(random()::text), 'hex'), 'n', now(), now(), '{[1,2)}')"
	"  RETURNING stream)"
	" INSERT INTO lost (stream, first, count, ts) SELECT stream, 2, 1, now() FROM new;"
	"INSERT INTO reading (sensor, ts, clock, temperature, humidity)"
	" VALUES (-1, now(), 0, 20, 50);"
	"INSERT INTO dead_letter (ts, topic, reason, bytes, payload)"
	" VALUES (now(), 'n', 'n', 1, decode('00', 'hex'));"
	"INSERT INTO late (sensor, ts, temperature, humidity) VALUES (-1, now(), 20, 50);"
	"ROLLBACK";

/* Statements of the group that locks, by their number. */
enum { BEGIN, VERSION, RETENTION, ADD_STREAMS, LOCK_STREAMS, FENCE };

static void attempt(struct transaction *t);

static void finish(struct transaction *t, int err)
{
	pass_collect(&t->pass, NULL);
	if (err != 0)
		t->job->results->n = t->answered;
	t->job->stored = err;
	t->job->why = t->why;
	t->done(t->data, err);
}

static void on_freed(void *data, int err)
{
	struct transaction *t = data;
	finish(t, err != 0 ? err : t->outcome);
}

/*
 * A lock that we need was held for too long. The server ends sessions that idle in a
 * transaction, but not one that stopped in the middle of COPY, as a frozen replica may.
 * End those.
 */
static void free_locks(struct transaction *t)
{
	pg_begin(t->pg, NULL, on_freed, t);
	pg_add(t->pg,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
		" WHERE usename = current_user AND application_name = '" PG_APPLICATION "'"
		"  AND datname = current_database() AND state = 'active'"
		"  AND wait_event = 'ClientRead' AND query LIKE 'COPY %'"
		"  AND xact_start < clock_timestamp() - interval '10 s'",
		NULL, 0);
	pg_end(t->pg);
}

static void on_judged(void *data, int err)
{
	struct transaction *t = data;
	/* This is what has to be mended, so this is what is logged. */
	if (err != 0 && err != -ENOTCONN)
		snprintf(t->why, sizeof(t->why), "%s", pg_error(t->pg));
	if (err == 0)
		err = -EDOM;
	else if (err == -EDOM)
		err = -EIO;
	finish(t, err);
}

/*
 * When the database has refused something, an ordinary message is tried. If that is refused
 * as well, as when somebody has changed the tables, no message is at fault: all wait for
 * the database to be mended, and nobody's readings become dead letters.
 */
static void on_rolled_back(void *data, int err)
{
	struct transaction *t = data;
	if (err == 0 && t->outcome == -EAGAIN && t->again++ < AGAIN_MAX)
		attempt(t);
	else if (err == 0 && t->outcome == -EDOM)
		pg_script(t->pg, ordinary, on_judged, t);
	else if (err == 0 && t->outcome == -EBUSY)
		free_locks(t);
	else
		finish(t, err != 0 ? err : t->outcome);
}

/* Roll back, and try again if that may help. */
static void undo(struct transaction *t, int err, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s", why);
	t->outcome = err;
	if (err == -ENOTCONN)
		finish(t, err);
	else
		pg_script(t->pg, "ROLLBACK", on_rolled_back, t);
}

static void on_saved(void *data, int err)
{
	struct transaction *t = data;
	if (err != 0) {
		undo(t, err, pg_error(t->pg));
		return;
	}
	effects_commit(&t->pass.effects, t->job->now_us);
	finish(t, 0);
}

static void add_streams(struct transaction *t)
{
	const struct streams *streams = &t->pass.streams;
	wire_array_begin(&t->ids, WIRE_BYTEA_ARRAY);
	wire_array_begin(&t->stored, WIRE_TEXT_ARRAY);
	wire_array_begin(&t->lost, WIRE_INT8_ARRAY);
	wire_array_begin(&t->seen, WIRE_TIMESTAMPTZ_ARRAY);
	for (size_t i = 0; i < streams->n; i++) {
		const struct stream *stream = &streams->at[i];
		if (!stream->changed)
			continue;
		char *text = multirange_write(&stream->set);
		if (text == NULL)
			dp_log_out_of_memory("a stream");
		wire_bytes_field(
			wire_array_next(&t->ids), stream->id.bytes, DP_STREAM_BYTES);
		wire_text_field(wire_array_next(&t->stored), text);
		wire_int64_field(wire_array_next(&t->lost), (int64_t)stream->row.lost);
		wire_time_field(wire_array_next(&t->seen), stream->row.seen);
		free(text);
	}
	const struct pg_value values[] = {pg_array(&t->ids), pg_array(&t->stored),
		pg_array(&t->lost), pg_array(&t->seen)};
	if (t->ids.n > 0)
		pg_add(t->pg,
			"UPDATE stream SET stored = new.stored::int8multirange,"
			" lost = stream.lost + new.lost, seen = new.seen"
			" FROM unnest($1, $2, $3, $4) AS new (stream, stored, lost, seen)"
			" WHERE stream.stream = new.stream",
			values, 4);
}

static void add_lost(struct transaction *t)
{
	const struct pass *pass = &t->pass;
	char now[24];
	const struct pg_value values[] = {pg_array(&pass->lost_stream),
		pg_array(&pass->lost_first), pg_array(&pass->lost_count),
		pg_number(now, t->job->now_us)};
	if (pass->lost_stream.n > 0)
		pg_add(t->pg,
			"INSERT INTO lost SELECT stream, first, count, " DP_TIME_4
			" FROM unnest($1, $2, $3) AS new (stream, first, count)",
			values, 4);
}

static void add_dead(struct transaction *t)
{
	struct pass *pass = &t->pass;
	char kept[24];
	const struct pg_value values[] = {pg_array(&pass->dead_ts),
		pg_array(&pass->dead_topic), pg_array(&pass->dead_reason),
		pg_array(&pass->dead_stream), pg_array(&pass->dead_seq),
		pg_array(&pass->dead_bytes), pg_array(&pass->dead_payload)};
	const struct pg_value limit[] = {pg_number(kept, pass->options->dead_letters_max)};
	if (pass->dead_ts.n == 0)
		return;
	pg_add(t->pg,
		"INSERT INTO dead_letter (ts, topic, reason, stream, seq, bytes, payload)"
		" SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)",
		values, 7);
	if (!effects_trim_due(&pass->effects, pass->options->dead_letters_max))
		return;
	/* As in sqlite/statements.c; rows that another replica is deleting are skipped. */
	pg_add(t->pg,
		"DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter"
		" WHERE id IN (SELECT id FROM (SELECT *, row_number() OVER"
		"   (PARTITION BY native ORDER BY nth, id DESC) AS place"
		"  FROM (SELECT id, topic LIKE '%/batch' AS native, row_number() OVER"
		"    (PARTITION BY topic ORDER BY id DESC) AS nth FROM dead_letter) AS a)"
		" AS b ORDER BY place, id DESC OFFSET $1) FOR UPDATE SKIP LOCKED)",
		limit, 1);
}

static void on_late_copied(void *data, int err)
{
	struct transaction *t = data;
	if (err != 0) {
		undo(t, err, pg_error(t->pg));
		return;
	}
	pg_begin(t->pg, NULL, on_saved, t);
	add_streams(t);
	add_lost(t);
	add_dead(t);
	pg_add(t->pg, "COMMIT", NULL, 0);
	pg_end(t->pg);
}

static void on_copied(void *data, int err)
{
	struct transaction *t = data;
	const struct pass *pass = &t->pass;
	if (err != 0 || pass->n_late == 0)
		on_late_copied(t, err);
	else
		pg_copy(t->pg,
			"COPY late (sensor, ts, " READING_VALUES
			") FROM STDIN (FORMAT binary)",
			pass->late.at, pass->late.len, on_late_copied, t);
}

static void on_provisioned(void *data, int err)
{
	struct transaction *t = data;
	if (err != 0)
		undo(t, err, pg_error(t->pg));
	else
		attempt(t);
}

static void on_unlocked(void *data, int err)
{
	struct transaction *t = data;
	if (err != 0)
		undo(t, err, pg_error(t->pg));
	else
		provision_run(&t->provision, t->pg, t->catalog, on_provisioned, t);
}

static void on_locked(void *data, int err)
{
	struct transaction *t = data;
	struct pass *pass = &t->pass;
	struct sink_job *job = t->job;
	if (session_is_newer(t->pg, t->version)) {
		undo(t, -EPROTO, "a newer version has changed the database");
		return;
	}
	if (err != 0) {
		undo(t, err, pg_error(t->pg));
		return;
	}
	/* A replica that was frozen for longer than its lease finds another number and
	 * stores no plain message. */
	job->lease->held =
		job->lease->held && (t->number < 0 || t->number == job->lease->number);
	catalog_begin(t->catalog, job->now_us, t->dropped_until_us);
	err = pass_run(
		pass, job->batch->first, job->lease, job->results, t->late_before_us);
	if (err == -EAGAIN && !t->provisioned) {
		/* Let the streams go first: making these things may take a while. */
		t->provisioned = true;
		pg_script(t->pg, "ROLLBACK", on_unlocked, t);
	} else if (err != 0) {
		undo(t, err == -EAGAIN ? -EIO : err, "rows of the database are missing");
	} else if (pass->effects.pending.readings > 0) {
		/* As fast as arrays for a few rows, twice as fast for thousands: README.md.
		 */
		pg_copy(t->pg,
			"COPY reading (sensor, ts, clock, " READING_VALUES
			") FROM STDIN (FORMAT binary)",
			pass->copy.at, pass->copy.len, on_copied, t);
	} else {
		on_copied(t, 0);
	}
}

static void on_lock_rows(void *data, int statement, const struct pg_rows *rows)
{
	struct transaction *t = data;
	if (statement == VERSION)
		t->version = pg_int(rows, 0, 0);
	if (statement == RETENTION) {
		t->late_before_us = pg_int(rows, 0, 0);
		t->dropped_until_us = pg_int(rows, 0, 1);
	}
	if (statement == FENCE)
		t->number = pg_count(rows) > 0 ? pg_int(rows, 0, 0) : 0;
	for (size_t i = 0; statement == LOCK_STREAMS && i < pg_count(rows); i++)
		streams_note_row(&t->pass.streams, pg_text(rows, i, 0), pg_text(rows, i, 1),
			pg_int(rows, i, 2), pg_text(rows, i, 3));
}

static void attempt(struct transaction *t)
{
	struct pass *pass = &t->pass;
	const struct sink_job *job = t->job;
	char now[24];
	pass_collect(pass, job->batch->first);
	wire_array_begin(&t->ids, WIRE_BYTEA_ARRAY);
	wire_array_begin(&t->nodes, WIRE_TEXT_ARRAY);
	for (size_t i = 0; i < pass->streams.n; i++) {
		const struct stream *stream = &pass->streams.at[i];
		wire_bytes_field(
			wire_array_next(&t->ids), stream->id.bytes, DP_STREAM_BYTES);
		wire_text_field(wire_array_next(&t->nodes), stream->node);
	}
	const struct pg_value streams[] = {
		pg_array(&t->ids), pg_array(&t->nodes), pg_number(now, job->now_us)};
	const struct pg_value fence[] = {
		pg_string(job->lease->name), pg_string(job->lease->holder)};
	t->number = -1;
	t->version = 0;
	pg_begin(t->pg, on_lock_rows, on_locked, t);
	pg_add(t->pg, SESSION_BEGIN, NULL, 0);
	/* Shared by all who store. The pruner takes this lock alone when it moves the time
	 * up to which readings are counted. */
	pg_add(t->pg,
		SESSION_VERSION_AND(
			", pg_advisory_xact_lock_shared(" DP_POSTGRES_STORING ")"),
		NULL, 0);
	pg_add(t->pg, "SELECT late_before, dropped_until FROM retention", NULL, 0);
	/* In the order of their ids, so that replicas do not deadlock. */
	pg_add(t->pg,
		"INSERT INTO stream (stream, node, created, seen)"
		" SELECT new.stream, new.node, at, at"
		" FROM unnest($1, $2) AS new (stream, node),"
		"  (SELECT " DP_TIME_3 ") AS now (at)"
		" WHERE NOT EXISTS (SELECT FROM stream WHERE stream.stream = new.stream)"
		" ORDER BY 1 ON CONFLICT DO NOTHING",
		streams, 3);
	pg_add(t->pg,
		"SELECT encode(stream, 'hex'), node, " EPOCH_US(
			"seen") ", stored FROM stream"
				" WHERE stream = ANY ($1) ORDER BY stream FOR UPDATE",
		streams, 1);
	if (incoming_has_plain(job->batch->first))
		pg_add(t->pg,
			"SELECT number FROM lease WHERE name = $1 AND holder = $2 FOR "
			"SHARE",
			fence, 2);
	pg_end(t->pg);
}

void transaction_open(struct transaction *t, struct pg *pg,
	const struct sink_options *options, struct catalog *catalog)
{
	t->pg = pg;
	t->catalog = t->pass.catalog = catalog;
	t->pass.options = options;
}

void transaction_run(
	struct transaction *t, struct sink_job *job, pg_on_done *done, void *data)
{
	t->job = job;
	t->done = done;
	t->data = data;
	t->again = 0;
	t->provisioned = false;
	t->answered = job->results->n;
	queue_group(job->batch);
	/* Only here, between batches: one batch alone may have more sensors than that. */
	if (t->catalog->series.parts > SERIES_MAX)
		catalog_forget_series(t->catalog);
	attempt(t);
}

void transaction_finish(struct transaction *t)
{
	struct wire_array *const arrays[] = {
		&t->ids, &t->nodes, &t->stored, &t->lost, &t->seen};
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		free(arrays[i]->wire.at);
	provision_finish(&t->provision);
	pass_finish(&t->pass);
}
