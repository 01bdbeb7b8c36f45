#include "../sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "insert_postgres.h"
#include "log.h"
#include "pg.h"
#include "postgres.h"
#include "session.h"
#include "transaction.h"

#define HURRY_MS 1000 /* below the patience of a stop */

const char sink_service[] = "ingest-postgres";
const char sink_url_fallback[] = "postgresql://dewpoint@postgres/dewpoint";
const char sink_url_help[] =
	"where readings are stored: postgresql://user:password@host:port/database";

/* What is left of a turn, in this order. */
enum part { NONE, RENEW, COUNT, STORE, RELEASE, PARTS };

enum { BEGIN, VERSION }; /* statements of the group that renews, by their number */

struct sink {
	struct sink_events events;
	struct pg *pg;
	struct session session;
	struct transaction transaction;
	struct insert insert;
	bool ready;  /* the session is prepared */
	bool silent; /* nothing was said about the session yet */
	struct sink_turn *turn;
	enum part part;
	int64_t version, number; /* of the schema; of the lease */
	int trouble;		 /* of the last transaction */
	char why[512];		 /* why there is no session */
	char said[512];		 /* the reason in the log */
};

static void next_part(struct sink *sink);

const char *sink_check_url(const char *value)
{
	return dp_postgres_check_url(value);
}

/* ---- the lease ---- */

static void on_lease_rows(void *data, int statement, const struct pg_rows *rows)
{
	struct sink *sink = data;
	if (statement == VERSION)
		sink->version = pg_int(rows, 0, 0);
	else if (pg_count(rows) > 0)
		sink->number = pg_int(rows, 0, 0);
}

static void on_renewed(void *data, int err)
{
	struct sink *sink = data;
	struct dp_lease *lease = sink->turn->lease;
	if (err == 0 && session_is_newer(sink->pg, sink->version))
		err = -EPROTO;
	if (err == 0) {
		lease->held = sink->number > 0;
		lease->number = sink->number;
	}
	sink->turn->renewed = err;
	next_part(sink);
}

static void renew(struct sink *sink)
{
	const struct dp_lease *lease = sink->turn->lease;
	char ttl[24];
	const struct pg_value values[] = {pg_string(lease->name), pg_string(lease->holder),
		pg_number(ttl, lease->ttl_us)};
	sink->number = 0;
	pg_begin(sink->pg, on_lease_rows, on_renewed, sink);
	pg_add(sink->pg, SESSION_BEGIN, NULL, 0);
	pg_add(sink->pg, SESSION_VERSION, NULL, 0);
	pg_add(sink->pg,
		"INSERT INTO lease AS old VALUES"
		" ($1, $2, 1, clock_timestamp() + $3 * interval '1 microsecond')"
		" ON CONFLICT (name) DO UPDATE SET holder = $2, expires = excluded.expires,"
		"  number = old.number + (old.holder <> $2)::integer"
		" WHERE old.holder = $2 OR old.expires < clock_timestamp()"
		/* The database's clock was ahead, and was set right. */
		"  OR old.expires > clock_timestamp() + 2 * $3 * interval '1 microsecond'"
		" RETURNING number",
		values, 3);
	pg_add(sink->pg, "COMMIT", NULL, 0);
	pg_end(sink->pg);
}

static void on_released(void *data, int err)
{
	(void)err; /* then it runs out */
	next_part(data);
}

static void release(struct sink *sink)
{
	struct dp_lease *lease = sink->turn->lease;
	char text[24];
	const struct pg_value values[] = {pg_string(lease->name), pg_string(lease->holder),
		pg_number(text, lease->number)};
	lease->held = false;
	pg_begin(sink->pg, NULL, on_released, sink);
	pg_add(sink->pg,
		"UPDATE lease SET expires = '-infinity'"
		" WHERE name = $1 AND holder = $2 AND number = $3",
		values, 3);
	pg_end(sink->pg);
}

/* ---- gaps ---- */

static void on_gaps(void *data, int statement, const struct pg_rows *rows)
{
	struct sink *sink = data;
	(void)statement;
	sink->turn->gaps = (uint64_t)pg_int(rows, 0, 0);
}

static void on_counted(void *data, int err)
{
	(void)err; /* then they are as before, and the transactions say why */
	next_part(data);
}

static void count(struct sink *sink)
{
	/* Before each range that does not begin with the first number is one. */
	pg_begin(sink->pg, on_gaps, on_counted, sink);
	pg_add(sink->pg,
		"SELECT count(*) FROM stream, unnest(stored) AS run WHERE lower(run) > 1",
		NULL, 0);
	pg_end(sink->pg);
}

/* ---- turns ---- */

static void on_stored(void *data, int err)
{
	struct sink *sink = data;
	sink->trouble = err == -EDOM ? 0 : err; /* a message's, not the database's */
	next_part(sink);
}

static void begin_part(struct sink *sink)
{
	switch (sink->part) {
	case RENEW:
		renew(sink);
		break;
	case COUNT:
		count(sink);
		break;
	case STORE:
		transaction_run(&sink->transaction, sink->turn, on_stored, sink);
		break;
	default:
		release(sink);
	}
}

static void next_part(struct sink *sink)
{
	const struct sink_turn *turn = sink->turn;
	const bool wanted[PARTS] = {[RENEW] = turn->renew,
		[COUNT] = turn->count,
		[STORE] = turn->batch != NULL,
		[RELEASE] = turn->release};
	do
		sink->part++;
	while (sink->part < PARTS && !wanted[sink->part]);
	if (sink->part < PARTS) {
		begin_part(sink);
		return;
	}
	/* Whoever is next begins with nothing open, or in a session of its own. */
	if (!pg_idle(sink->pg))
		pg_drop(sink->pg, "a transaction was left open");
	sink->turn = NULL;
	sink->events.done(sink->events.data);
}

void sink_turn(struct sink *sink, struct sink_turn *turn)
{
	sink->turn = turn;
	if (sink->ready) {
		sink->part = NONE;
		next_part(sink);
		return;
	}
	turn->renewed = turn->stored = -ENOTCONN;
	turn->why = sink->why;
	if (turn->release)
		turn->lease->held = false;
	sink->turn = NULL;
	sink->events.done(sink->events.data);
}

/* ---- the session ---- */

static void on_prepared(void *data)
{
	struct sink *sink = data;
	int version = pg_server_version(sink->pg);
	dp_log(DP_LOG_INFO, "the database is there", "store=%s postgresql=%d.%d",
		pg_name(sink->pg), version / 10000, version % 10000);
	sink->ready = true;
	sink->silent = false;
	sink->trouble = 0;
	pg_good(sink->pg);
	sink->events.ready(sink->events.data);
}

static void on_outdated(void *data)
{
	struct sink *sink = data;
	sink->events.outdated(sink->events.data);
}

static void on_connected(void *data)
{
	struct sink *sink = data;
	/* It may be another one, or another one's copy. */
	insert_forget_database(&sink->insert);
	session_prepare(&sink->session, sink->pg, &sink->insert.days, on_prepared,
		on_outdated, sink);
}

/*
 * One line when it is gone and why. Another reason is worth another line when it lasts:
 * a server that restarts has several in a second.
 */
static void on_lost(void *data, const char *why)
{
	struct sink *sink = data;
	bool gone = sink->ready || sink->silent;
	if (gone || (strcmp(sink->why, why) == 0 && strcmp(sink->said, why) != 0)) {
		dp_log(DP_LOG_WARN,
			"the database is away; nothing is answered, senders keep their "
			"readings",
			"store=%s error=\"%s\"", pg_name(sink->pg), why);
		snprintf(sink->said, sizeof(sink->said), "%s", why);
	}
	sink->ready = sink->silent = false;
	snprintf(sink->why, sizeof(sink->why), "%s", why);
}

/* ---- life ---- */

int sink_open(struct sink **out, uv_loop_t *loop, const struct insert_options *options,
	const struct sink_events *events, int64_t now_us)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	(void)now_us;
	if (sink == NULL)
		dp_log_out_of_memory("the store");
	sink->events = *events;
	sink->insert.options = *options;
	sink->silent = true;
	snprintf(sink->why, sizeof(sink->why), "not connected yet");
	const struct pg_events ours = {
		.data = sink, .connected = on_connected, .lost = on_lost};
	pg_open(&sink->pg, loop, options->store_url, &ours);
	sink->transaction.pg = sink->pg;
	sink->transaction.insert = &sink->insert;
	*out = sink;
	return 0;
}

void sink_hurry(struct sink *sink)
{
	pg_hurry(sink->pg, HURRY_MS);
}

void sink_close(struct sink *sink)
{
	pg_close(sink->pg);
}

void sink_free(struct sink *sink)
{
	transaction_finish(&sink->transaction);
	insert_finish(&sink->insert);
	pg_free(sink->pg);
	free(sink);
}

const struct insert_counts *sink_counts(const struct sink *sink)
{
	return &sink->insert.counts;
}

const char *sink_store(const struct sink *sink)
{
	return sink->session.store;
}

const char *sink_name(const struct sink *sink)
{
	return pg_name(sink->pg);
}

const char *sink_trouble(const struct sink *sink)
{
	if (!sink->ready)
		return sink->why;
	return sink->trouble == 0 ? NULL : sink->transaction.why;
}
