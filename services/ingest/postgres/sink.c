#include "sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "log.h"
#include "pg.h"
#include "postgres.h"
#include "session.h"
#include "transaction.h"

#define HURRY_MS 1000 /* less than a stop may take */

/* What a job asks for, in this order. */
enum task { NONE, RENEW, COUNT, STORE, RELEASE, TASKS };

enum { BEGIN, VERSION }; /* statements of the group that renews, by their number */

struct postgres_sink {
	struct sink base;
	struct sink_options options;
	struct sink_events events;
	struct pg *pg;
	struct session session;
	struct catalog catalog;
	struct transaction transaction;
	bool ready;  /* the session is prepared */
	bool silent; /* nothing was logged about the session yet */
	struct sink_job *job;
	enum task task;
	int64_t version, number; /* of the schema; of the lease */
	int last_error;		 /* of the last transaction */
	char why[512];		 /* why there is no session */
	char said[512];		 /* the reason in the log */
};

static void next_task(struct postgres_sink *sink);

/* ---- the lease ---- */

static void on_lease_rows(void *data, int statement, const struct pg_rows *rows)
{
	struct postgres_sink *sink = data;
	if (statement == VERSION)
		sink->version = pg_int(rows, 0, 0);
	else if (pg_count(rows) > 0)
		sink->number = pg_int(rows, 0, 0);
}

static void on_renewed(void *data, int err)
{
	struct postgres_sink *sink = data;
	struct dp_lease *lease = sink->job->lease;
	if (err == 0 && session_is_newer(sink->pg, sink->version))
		err = -EPROTO;
	if (err == 0) {
		lease->held = sink->number > 0;
		lease->number = sink->number;
	}
	sink->job->renewed = err;
	next_task(sink);
}

static void renew(struct postgres_sink *sink)
{
	const struct dp_lease *lease = sink->job->lease;
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
		/* Too far ahead: the database's clock was wrong when it was written. */
		"  OR old.expires > clock_timestamp() + 2 * $3 * interval '1 microsecond'"
		" RETURNING number",
		values, 3);
	pg_add(sink->pg, "COMMIT", NULL, 0);
	pg_end(sink->pg);
}

static void on_released(void *data, int err)
{
	(void)err; /* if this fails, the lease runs out by itself */
	next_task(data);
}

static void release(struct postgres_sink *sink)
{
	struct dp_lease *lease = sink->job->lease;
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
	struct postgres_sink *sink = data;
	(void)statement;
	sink->job->gaps = (uint64_t)pg_int(rows, 0, 0);
}

static void on_counted(void *data, int err)
{
	(void)err; /* if this fails the old number stays, and the next transaction logs why
		    */
	next_task(data);
}

static void count(struct postgres_sink *sink)
{
	/* There is a gap before each range, unless it begins with number 1. */
	pg_begin(sink->pg, on_gaps, on_counted, sink);
	pg_add(sink->pg,
		"SELECT count(*) FROM stream, unnest(stored) AS run WHERE lower(run) > 1",
		NULL, 0);
	pg_end(sink->pg);
}

/* ---- jobs ---- */

static void on_stored(void *data, int err)
{
	struct postgres_sink *sink = data;
	sink->last_error =
		err == -EDOM ? 0 : err; /* a message is at fault, not the database */
	next_task(sink);
}

static void begin_task(struct postgres_sink *sink)
{
	switch (sink->task) {
	case RENEW:
		renew(sink);
		break;
	case COUNT:
		count(sink);
		break;
	case STORE:
		transaction_run(&sink->transaction, sink->job, on_stored, sink);
		break;
	default:
		release(sink);
	}
}

static void next_task(struct postgres_sink *sink)
{
	const struct sink_job *job = sink->job;
	const bool wanted[TASKS] = {[RENEW] = job->renew,
		[COUNT] = job->count_gaps,
		[STORE] = job->batch != NULL,
		[RELEASE] = job->release};
	do
		sink->task++;
	while (sink->task < TASKS && !wanted[sink->task]);
	if (sink->task < TASKS) {
		begin_task(sink);
		return;
	}
	/* The next job must begin without an open transaction: if there is one, reconnect.
	 */
	if (!pg_idle(sink->pg))
		pg_drop(sink->pg, "a transaction was left open");
	sink->job = NULL;
	sink->events.done(sink->events.data);
}

static void sink_run(struct sink *base, struct sink_job *job)
{
	struct postgres_sink *sink = (struct postgres_sink *)base;
	if (sink->ready) {
		sink->job = job;
		sink->task = NONE;
		next_task(sink);
		return;
	}
	job->renewed = job->stored = -ENOTCONN;
	job->why = sink->why;
	if (job->release)
		job->lease->held = false;
	sink->events.done(sink->events.data);
}

/* ---- the session ---- */

static void on_prepared(void *data)
{
	struct postgres_sink *sink = data;
	int version = pg_server_version(sink->pg);
	dp_log(DP_LOG_INFO, "the database is there", "store=%s postgresql=%d.%d",
		pg_name(sink->pg), version / 10000, version % 10000);
	sink->ready = true;
	sink->silent = false;
	sink->last_error = 0;
	pg_good(sink->pg);
	sink->events.ready(sink->events.data);
}

static void on_outdated(void *data)
{
	struct postgres_sink *sink = data;
	sink->events.outdated(sink->events.data);
}

static void on_connected(void *data)
{
	struct postgres_sink *sink = data;
	/* The server may be another one now, or a restored copy. */
	catalog_forget(&sink->catalog);
	session_prepare(&sink->session, sink->pg, &sink->catalog.days, on_prepared,
		on_outdated, sink);
}

/*
 * One line says that the database is away and why. A new reason gets a line when it comes
 * twice in a row: while a server restarts, there are several in a second.
 */
static void on_lost(void *data, const char *why)
{
	struct postgres_sink *sink = data;
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

static struct sink *sink_open(uv_loop_t *loop, const struct sink_options *options,
	const struct sink_events *events, int64_t now_us)
{
	struct postgres_sink *sink = calloc(1, sizeof(*sink));
	(void)now_us;
	if (sink == NULL)
		dp_log_out_of_memory("the store");
	sink->options = *options;
	sink->events = *events;
	sink->silent = true;
	snprintf(sink->why, sizeof(sink->why), "not connected yet");
	const struct pg_events ours = {
		.data = sink, .connected = on_connected, .lost = on_lost};
	pg_open(&sink->pg, loop, options->url, &ours);
	transaction_open(&sink->transaction, sink->pg, &sink->options, &sink->catalog);
	sink->base = (struct sink){&postgres_sink, pg_name(sink->pg), sink->session.store,
		&sink->transaction.pass.effects.total};
	return &sink->base;
}

static void sink_hurry(struct sink *base)
{
	pg_hurry(((struct postgres_sink *)base)->pg, HURRY_MS);
}

static void sink_close(struct sink *base)
{
	pg_close(((struct postgres_sink *)base)->pg);
}

static void sink_free(struct sink *base)
{
	struct postgres_sink *sink = (struct postgres_sink *)base;
	transaction_finish(&sink->transaction);
	catalog_finish(&sink->catalog);
	pg_free(sink->pg);
	free(sink);
}

static const char *sink_health(const struct sink *base)
{
	const struct postgres_sink *sink = (const struct postgres_sink *)base;
	if (!sink->ready)
		return sink->why;
	return sink->last_error == 0 ? NULL : sink->transaction.why;
}

const struct sink_kind postgres_sink = {
	.service = "ingest-postgres",
	.url_fallback = "postgresql://dewpoint@postgres/dewpoint",
	.url_help = "where readings are stored: "
		    "postgresql://user:password@host:port/database",
	.check_url = dp_postgres_check_url,
	.open = sink_open,
	.run = sink_run,
	.hurry = sink_hurry,
	.close = sink_close,
	.free = sink_free,
	.health = sink_health,
};
