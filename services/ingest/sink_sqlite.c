#include "sink.h"

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

/* SQLite waits for the disk: on the work queue. */
struct sink {
	uv_loop_t *loop;
	const char *url;
	struct insert *insert;
	struct sink_events events;
	struct sink_turn *turn;
	uv_work_t work;
	int trouble;
};

const char *sink_check_url(const char *value)
{
	if (dp_url_is_postgres(value))
		return "sqlite:///absolute/path/of/file.db; ingest-postgres stores in "
		       "PostgreSQL";
	return dp_check_store_url(value);
}

int sink_open(struct sink **out, uv_loop_t *loop, const struct insert_options *options,
	const struct sink_events *events, int64_t now_us)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		dp_log_out_of_memory("the store");
	dp_service_size_pool(THREADS);
	sink->loop = loop;
	sink->url = options->store_url;
	sink->events = *events;
	int err = insert_open(&sink->insert, options, now_us);
	if (err != 0) {
		free(sink);
		return err;
	}
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
		sink->trouble = sink->turn->stored;
		sink->turn->why = strerror(-sink->trouble);
	}
	sink->turn = NULL;
	sink->events.done(sink->events.data);
}

void sink_turn(struct sink *sink, struct sink_turn *turn)
{
	sink->turn = turn;
	sink->work.data = sink;
	uv_queue_work(sink->loop, &sink->work, do_work, work_done);
}

void sink_hurry(struct sink *sink)
{
	(void)sink; /* a transaction on a disk ends by itself */
}

void sink_close(struct sink *sink)
{
	(void)sink; /* no handles */
}

void sink_free(struct sink *sink)
{
	insert_close(sink->insert);
	free(sink);
}

const struct insert_counts *sink_counts(const struct sink *sink)
{
	return insert_counts(sink->insert);
}

const char *sink_name(const struct sink *sink)
{
	return sink->url;
}

const char *sink_trouble(const struct sink *sink)
{
	return sink->trouble == 0 ? NULL
				  : "the store does not take readings; its volume may be "
				    "full or locked";
}
