#include "sink.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "service.h"
#include "sqlite_store.h"
#include "store.h"
#include "timer.h"
#include "url.h"

/* One thread for transactions, two for buses that connect meanwhile. More threads would
 * spread the transactions and lose the cache. */
#define THREADS 3
#define OPEN_AGAIN_MS 250

/* While a job is under way, `store` and `job` are the work queue's. */
struct sqlite_sink {
	struct sink base;
	uv_loop_t *loop;
	struct sink_options options;
	struct sink_events events;
	struct sqlite_store *store;   /* NULL until it is open */
	struct sqlite_store *opening; /* the work queue's, until the loop takes it over */
	int64_t opened_us;
	int opened; /* what came of it */
	uv_timer_t again;
	bool closing;
	char id[DP_STORE_ID]; /* for the loop, while the work queue may be in the store */
	struct sink_job *job;
	uv_work_t work;
	int last_error;	 /* of opening, or of the last batch */
	int renew_error; /* of the last renewal, unless a batch was stored after it */
};

static const struct counts none;
static const char locked[] = "the database is locked by another process";

static const char *check_url(const char *value)
{
	if (dp_url_is_postgres(value))
		return "sqlite:///absolute/path/of/file.db; ingest-postgres stores in "
		       "PostgreSQL";
	return dp_check_store_url(value);
}

static void queue_work(struct sqlite_sink *sink, uv_work_cb work, uv_after_work_cb done)
{
	int err = uv_queue_work(sink->loop, &sink->work, work, done);
	assert(err == 0); /* it fails without a callback only */
	(void)err;
}

/* ---- opening: tried again while another process has the file locked ---- */

static void open_work(uv_work_t *work)
{
	struct sqlite_sink *sink = work->data;
	sink->opened = sqlite_store_open(&sink->opening, &sink->options, sink->opened_us);
}

static void on_again(uv_timer_t *timer);

static void open_done(uv_work_t *work, int status)
{
	struct sqlite_sink *sink = work->data;
	int before = sink->last_error;
	(void)status;
	sink->last_error = sink->opened;
	if (sink->opened == 0)
		sink->store = sink->opening;
	if (sink->closing)
		return;
	if (sink->opened == -EBUSY) {
		if (before != -EBUSY)
			dp_log(DP_LOG_WARN,
				"the database is locked by another process; waiting for it",
				"store=%s", sink->options.url);
		timer_start(&sink->again, on_again, OPEN_AGAIN_MS);
	} else if (sink->opened != 0) {
		sink->events.outdated(sink->events.data);
	} else {
		sink->base.counts = sqlite_store_counts(sink->store);
		snprintf(sink->id, sizeof(sink->id), "%s", sqlite_store_id(sink->store));
		sink->events.ready(sink->events.data);
	}
}

static void on_again(uv_timer_t *timer)
{
	struct sqlite_sink *sink = timer->data;
	queue_work(sink, open_work, open_done);
}

static struct sink *sink_open(uv_loop_t *loop, const struct sink_options *options,
	const struct sink_events *events, int64_t now_us)
{
	struct sqlite_sink *sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		dp_log_out_of_memory("the store");
	dp_service_size_pool(THREADS);
	sink->base = (struct sink){&sqlite_sink, options->url, sink->id, &none};
	sink->loop = loop;
	sink->options = *options;
	sink->events = *events;
	sink->opened_us = now_us;
	sink->last_error = -EINPROGRESS;
	sink->work.data = sink;
	timer_init(loop, &sink->again, sink);
	timer_start(&sink->again, on_again, 0);
	return &sink->base;
}

/* ---- a job ---- */

static void do_work(uv_work_t *work)
{
	struct sqlite_sink *sink = work->data;
	struct sink_job *job = sink->job;
	uint64_t gaps;
	if (job->renew)
		job->renewed = sqlite_store_lease(sink->store, job->lease, job->now_us);
	/* If this fails the old number stays, and the next commit logs why. */
	if (job->count_gaps && sqlite_store_gaps(sink->store, &gaps) == 0)
		job->gaps = gaps;
	if (job->batch != NULL) {
		queue_group(job->batch);
		job->stored = sqlite_store_commit(sink->store, job->batch->first,
			job->lease, job->results, job->now_us);
	}
	if (job->release)
		sqlite_store_release(sink->store, job->lease);
}

static void work_done(uv_work_t *work, int status)
{
	struct sqlite_sink *sink = work->data;
	(void)status;
	/* The file is sound or new, and the next job renews. */
	if (sink->job->renew)
		sink->renew_error = sink->job->renewed == -EAGAIN ? 0 : sink->job->renewed;
	if (sink->job->batch != NULL) {
		int err = sink->job->stored;
		sink->last_error =
			err == -EDOM ? 0
				     : err; /* a message is at fault, not the database */
		if (err == 0)
			sink->renew_error = 0;
		sink->job->why = sqlite_store_why(sink->store);
		if (sink->job->why == NULL)
			sink->job->why = strerror(-err);
	}
	sink->job = NULL;
	snprintf(sink->id, sizeof(sink->id), "%s", sqlite_store_id(sink->store));
	sink->events.done(sink->events.data);
}

static void sink_run(struct sink *base, struct sink_job *job)
{
	struct sqlite_sink *sink = (struct sqlite_sink *)base;
	if (sink->store == NULL) {
		job->renewed = job->stored = -ENOTCONN;
		job->why = locked;
		sink->events.done(sink->events.data);
		return;
	}
	sink->job = job;
	queue_work(sink, do_work, work_done);
}

static void sink_hurry(struct sink *base)
{
	struct sqlite_sink *sink = (struct sqlite_sink *)base;
	/* A transaction in a file does not wait for anybody for long. */
	if (sink->store != NULL)
		sqlite_store_hurry(sink->store);
}

static void sink_close(struct sink *base)
{
	struct sqlite_sink *sink = (struct sqlite_sink *)base;
	sink->closing = true;
	uv_close((uv_handle_t *)&sink->again, NULL);
}

static void sink_free(struct sink *base)
{
	struct sqlite_sink *sink = (struct sqlite_sink *)base;
	sqlite_store_close(sink->store);
	free(sink);
}

static const char *sink_health(const struct sink *base)
{
	const struct sqlite_sink *sink = (const struct sqlite_sink *)base;
	if (sink->store != NULL && sqlite_store_is_looking(sink->store))
		return "the database was taken for damaged and is looked through; nothing "
		       "is stored meanwhile";
	/* Without a batch, renewing the lease is what shows that the database can be used.
	 */
	int err = sink->last_error != 0 ? sink->last_error : sink->renew_error;
	if (err == -EINPROGRESS)
		return "the database is being opened";
	if (err == -EBUSY)
		return locked;
	return err == 0 ? NULL
			: "the store does not take readings; its volume may be full or "
			  "locked";
}

const struct sink_kind sqlite_sink = {
	.service = "ingest",
	.url_fallback = "sqlite:///data/broker.db",
	.url_help = "where readings are stored: sqlite:///absolute/path/of/file.db",
	.check_url = check_url,
	.open = sink_open,
	.run = sink_run,
	.hurry = sink_hurry,
	.close = sink_close,
	.free = sink_free,
	.health = sink_health,
};
