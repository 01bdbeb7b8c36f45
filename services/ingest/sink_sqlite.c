#include "sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "insert.h"
#include "log.h"
#include "service.h"
#include "store.h"
#include "url.h"

const char sink_service[] = "ingest";
const char sink_url_fallback[] = "sqlite:///data/broker.db";
const char sink_url_help[] =
	"where readings are stored: sqlite:///absolute/path/of/file.db";

/* One for a turn, and for two buses to connect meanwhile: fewer threads take more of the
 * turns each, with what they need at hand. */
#define THREADS 3
#define OPEN_AGAIN_MS 250

/* SQLite waits for the disk: on the work queue. */
struct sink {
	uv_loop_t *loop;
	struct insert_options options;
	struct insert *insert;	/* NULL until it is open */
	struct insert *opening; /* the work queue's, until the loop takes it over */
	int64_t opened_us;
	int opened; /* what came of it */
	uv_timer_t again;
	bool closing;
	char store[DP_STORE_ID]; /* for the loop, while the work queue may be in it */
	struct sink_events events;
	struct sink_turn *turn;
	uv_work_t work;
	int trouble;
};

static const char locked[] = "the database is locked by another process";

const char *sink_check_url(const char *value)
{
	if (dp_url_is_postgres(value))
		return "sqlite:///absolute/path/of/file.db; ingest-postgres stores in "
		       "PostgreSQL";
	return dp_check_store_url(value);
}

/* ---- opening: somebody's lock may last, and the service answers meanwhile ---- */

static void open_work(uv_work_t *work)
{
	struct sink *sink = work->data;
	sink->opened = insert_open(&sink->opening, &sink->options, sink->opened_us);
}

static void on_again(uv_timer_t *timer);

static void open_done(uv_work_t *work, int status)
{
	struct sink *sink = work->data;
	int before = sink->trouble;
	(void)status;
	sink->trouble = sink->opened;
	if (sink->opened == 0)
		sink->insert = sink->opening;
	if (sink->closing)
		return;
	if (sink->opened == -EBUSY) {
		if (before != -EBUSY)
			dp_log(DP_LOG_WARN,
				"the database is locked by another process; waiting for it",
				"store=%s", sink->options.store_url);
		uv_timer_start(&sink->again, on_again, OPEN_AGAIN_MS, 0);
	} else if (sink->opened != 0) {
		sink->events.outdated(sink->events.data);
	} else {
		snprintf(
			sink->store, sizeof(sink->store), "%s", insert_store(sink->insert));
		sink->events.ready(sink->events.data);
	}
}

static void on_again(uv_timer_t *timer)
{
	struct sink *sink = timer->data;
	uv_queue_work(sink->loop, &sink->work, open_work, open_done);
}

int sink_open(struct sink **out, uv_loop_t *loop, const struct insert_options *options,
	const struct sink_events *events, int64_t now_us)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		dp_log_out_of_memory("the store");
	dp_service_size_pool(THREADS);
	sink->loop = loop;
	sink->options = *options;
	sink->events = *events;
	sink->opened_us = now_us;
	sink->trouble = -EINPROGRESS;
	sink->work.data = sink;
	uv_timer_init(loop, &sink->again);
	sink->again.data = sink;
	uv_timer_start(&sink->again, on_again, 0, 0);
	*out = sink;
	return 0;
}

static void do_work(uv_work_t *work)
{
	struct sink *sink = work->data;
	struct sink_turn *turn = sink->turn;
	uint64_t gaps;
	if (turn->renew)
		turn->renewed = insert_lease(sink->insert, turn->lease, turn->now_us);
	/* When they cannot be read, the commits say why. */
	if (turn->count && insert_gaps(sink->insert, &gaps) == 0)
		turn->gaps = gaps;
	if (turn->batch != NULL) {
		queue_group(turn->batch);
		turn->stored = insert_commit(sink->insert, turn->batch->first, turn->lease,
			turn->results, turn->now_us);
	}
	if (turn->release)
		insert_release(sink->insert, turn->lease);
}

static void work_done(uv_work_t *work, int status)
{
	struct sink *sink = work->data;
	(void)status;
	if (sink->turn->batch != NULL) {
		int err = sink->turn->stored;
		sink->trouble =
			err == -EDOM ? 0 : err; /* a message's, not the database's */
		sink->turn->why = insert_why(sink->insert);
		if (sink->turn->why == NULL)
			sink->turn->why = strerror(-err);
	}
	sink->turn = NULL;
	snprintf(sink->store, sizeof(sink->store), "%s", insert_store(sink->insert));
	sink->events.done(sink->events.data);
}

void sink_turn(struct sink *sink, struct sink_turn *turn)
{
	if (sink->insert == NULL) {
		turn->renewed = turn->stored = -ENOTCONN;
		turn->why = locked;
		sink->events.done(sink->events.data);
		return;
	}
	sink->turn = turn;
	uv_queue_work(sink->loop, &sink->work, do_work, work_done);
}

void sink_hurry(struct sink *sink)
{
	(void)sink; /* a transaction on a disk ends by itself */
}

void sink_close(struct sink *sink)
{
	sink->closing = true;
	uv_close((uv_handle_t *)&sink->again, NULL);
}

void sink_free(struct sink *sink)
{
	insert_close(sink->insert);
	free(sink);
}

const struct insert_counts *sink_counts(const struct sink *sink)
{
	static const struct insert_counts none;
	return sink->insert != NULL ? insert_counts(sink->insert) : &none;
}

const char *sink_store(const struct sink *sink)
{
	return sink->store;
}

const char *sink_name(const struct sink *sink)
{
	return sink->options.store_url;
}

const char *sink_trouble(const struct sink *sink)
{
	if (sink->trouble == -EINPROGRESS)
		return "the database is being opened";
	if (sink->trouble == -EBUSY)
		return locked;
	return sink->trouble == 0 ? NULL
				  : "the store does not take readings; its volume may be "
				    "full or locked";
}
