#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "version.h"

#define RETRY_MS 1000
#define SHRINK_RETRY_MS 60000
#define SHRINK_ABOVE 256 /* free pages */

static int64_t now_ms(const struct queue *queue)
{
	return (int64_t)uv_now(queue->options.loop);
}

void queue_init(struct queue *queue, const struct queue_options *options)
{
	*queue = (struct queue){.options = *options,
		.opening = {.path = options->config->outbox,
			.clock = options->clock,
			.lock = -1},
		.spill = {.config = options->config, .streams = options->streams},
		.notes = {.config = options->config, .streams = options->streams}};
	queue->work.data = queue;
}

static void start(
	struct queue *queue, enum queue_work working, uv_work_cb run, uv_after_work_cb done)
{
	assert(queue->working == QUEUE_IDLE);
	queue->working = working;
	int err = uv_queue_work(queue->options.loop, &queue->work, run, done);
	assert(err == 0); /* it refuses only a missing callback */
	(void)err;
}

/* ---- opening ---- */

static void fail(struct queue *queue, const char *what, int err)
{
	dp_log(DP_LOG_ERROR, what, "file=%s error=\"%s\"", queue->options.config->outbox,
		strerror(-err));
	queue->options.failed(queue->options.data);
}

static void opened(struct queue *queue)
{
	opening_succeeded(&queue->opening);
	queue->usage = queue->opening.usage;
}

static void open_work(uv_work_t *work)
{
	struct queue *queue = work->data;
	queue->result = opening_open(&queue->opening, &queue->outbox);
}

static void open_done(uv_work_t *work, int status)
{
	struct queue *queue = work->data;
	struct streams *streams = queue->options.streams;
	assert(status == 0); /* nothing is cancelled */
	queue->working = QUEUE_IDLE;
	if (opening_may_pass(queue->result)) {
		opening_failed(&queue->opening, "cannot use the outbox now; trying again",
			queue->result, now_ms(queue));
		return;
	}
	if (queue->result != 0) {
		fail(queue, "cannot use the outbox", queue->result);
		return;
	}
	opened(queue);
	queue->damaged += queue->opening.given_up;
	int64_t built_us = dp_build_epoch * 1000000;
	int64_t known_us = outbox_floor_us(queue->outbox);
	int64_t floor_us = known_us > built_us ? known_us : built_us;
	queue->opening.found.dating.floor_us = floor_us;
	notes_begin(&queue->notes, floor_us);
	*streams = queue->opening.found;
	queue->opening.found = (struct streams){.n = 0};
	memcpy(queue->instance, outbox_instance(queue->outbox), sizeof(queue->instance));
	queue->opened = true;
}

void queue_open(struct queue *queue)
{
	if (queue->working != QUEUE_IDLE || queue->opened || queue->stopping ||
		now_ms(queue) < queue->opening.retry_ms)
		return;
	int err = opening_lock(&queue->opening, now_ms(queue));
	if (err == 0)
		start(queue, QUEUE_OPENS, open_work, open_done);
	else if (err != -EWOULDBLOCK)
		fail(queue, "cannot use the outbox; its folder must exist and be writable",
			err);
}

/* ---- damaged while it is in use ---- */

static void replace_work(uv_work_t *work)
{
	struct queue *queue = work->data;
	queue->result = opening_replace(&queue->opening, &queue->outbox);
}

/*
 * Without a file the publisher goes on: what is in memory can still reach the centre, and
 * beyond that the samplers keep theirs.
 */
static void replace_done(uv_work_t *work, int status)
{
	struct queue *queue = work->data;
	assert(status == 0);
	queue->working = QUEUE_IDLE;
	if (queue->result != 0)
		opening_failed(&queue->opening,
			"cannot begin a new outbox; readings stay in memory, trying again",
			queue->result, now_ms(queue));
	else
		opened(queue);
	if (queue->result == 0 && queue->stopping)
		spill_stop(&queue->spill);
}

/* What only the file had is gone; its streams say so with their next `low`. */
static void lose_file(struct queue *queue)
{
	struct streams *streams = queue->options.streams;
	for (struct stream *s = streams->first; s != NULL; s = s->next)
		stream_lose_outbox(s);
	for (size_t i = 0; i < streams->dating.n; i++)
		streams->dating.boots[i]->row = 0;
	notes_forget(&queue->notes);
	queue->load_failed = false;
	start(queue, QUEUE_REPLACES, replace_work, replace_done);
}

/* ---- a job ---- */

static void run_job(uv_work_t *work)
{
	struct queue *queue = work->data;
	job_run(&queue->job, queue->outbox, &queue->page);
}

/*
 * What should be in the file and is not, or cannot be sent, has been lost there. It is
 * asked for no more, it goes from the file, and the centre hears of it by `low`.
 */
static void give_up_missing(struct queue *queue)
{
	const struct outbox_page *page = &queue->page;
	struct stream *s = queue->job.load_stream;
	uint64_t first = queue->job.load_seq, last = DP_SEQ_MAX;
	struct dp_interval end;
	if (page->n > 0 && page->readings[0].seq == first)
		return;
	if (dp_intervals_missing(&s->stored, first, DP_SEQ_MAX, &end))
		last = end.first - 1;
	if (page->n > 0 && page->readings[0].seq <= last)
		last = page->readings[0].seq - 1;
	if (page->end <= last)
		last = page->end - 1;
	/* Answered while the page was loading: nothing is missing. */
	if (last < first || last == UINT64_MAX || !dp_intervals_contains(&s->stored, first))
		return;
	dp_log(DP_LOG_ERROR,
		"readings are missing or damaged in the outbox and are given up",
		"file=%s node=%s first=%" PRIu64 " count=%" PRIu64,
		queue->options.config->outbox, s->node, first, last - first + 1);
	queue->damaged += last - first + 1;
	streams_must(stream_give_up(s, first, last));
}

static void loaded(struct queue *queue)
{
	int err = queue->job.result[JOB_LOAD];
	bool failed = queue->load_failed;
	queue->load_failed = err != 0;
	if (err == 0) {
		queue->options.page(
			queue->options.data, queue->job.load_stream, &queue->page);
		give_up_missing(queue);
		return;
	}
	queue->load_retry_ms = now_ms(queue) + RETRY_MS;
	if (!failed)
		dp_log(DP_LOG_ERROR, "cannot read the outbox, trying again",
			"file=%s error=\"%s\"", queue->options.config->outbox,
			strerror(-err));
}

static void note_usage(struct queue *queue)
{
	const struct job *job = &queue->job;
	bool stuck = job->result[JOB_SHRINK] != 0 ||
		     job->usage.free_pages >= queue->usage.free_pages;
	if (job->shrink && stuck)
		queue->shrink_retry_ms = now_ms(queue) + SHRINK_RETRY_MS;
	if (job->result[JOB_USAGE] != 0)
		return;
	queue->usage = job->usage;
	spill_note_usage(&queue->spill, &queue->usage);
}

static void job_done(uv_work_t *work, int status)
{
	struct queue *queue = work->data;
	struct job *job = &queue->job;
	assert(status == 0);
	queue->working = QUEUE_IDLE;
	bool damaged = job_found_damage(job);
	if (damaged)
		job_disown(job);
	notes_done(&queue->notes, job, now_ms(queue));
	spill_done(&queue->spill, job, now_ms(queue), queue->options.in_flight,
		queue->options.data);
	if (job->load_stream != NULL)
		loaded(queue);
	note_usage(queue);
	job_clear(job);
	/* What has failed before the stop is tried once more. */
	if (queue->stopping && !queue->last_try)
		spill_stop(&queue->spill);
	if (damaged)
		lose_file(queue);
}

/* Whether there is no file, as that has failed; tried again when it is time. */
static bool no_file(struct queue *queue)
{
	if (queue->outbox != NULL)
		return false;
	if (!queue->stopping && now_ms(queue) >= queue->opening.retry_ms)
		start(queue, QUEUE_REPLACES, replace_work, replace_done);
	return true;
}

void queue_work(struct queue *queue, const struct page_want *want)
{
	struct job *job = &queue->job;
	int64_t now = now_ms(queue);
	uint64_t stored = streams_stored(queue->options.streams);
	/* Stopping, one failure is enough: what is in memory stays with the samplers. */
	if (queue->working != QUEUE_IDLE || no_file(queue) ||
		(queue->stopping && queue->spill.error != 0))
		return;
	notes_collect(&queue->notes, job, now);
	spill_collect(&queue->spill, job, &queue->usage, now);
	notes_collect_removes(&queue->notes, job, now);
	job->probe_floor_us = job->floor_us != 0 ? job->floor_us : queue->notes.floor_us;
	if (want->stream != NULL && now >= queue->load_retry_ms) {
		job->load_stream = want->stream;
		job->load_row = want->stream->outbox.row;
		job->load_seq = want->seq;
		queue->page.no_boot = want->stream->boot == NULL;
	}
	queue->load_failed = queue->load_failed && stored > 0;
	job->shrink = !queue->stopping && stored == 0 &&
		      queue->usage.free_pages > SHRINK_ABOVE &&
		      now >= queue->shrink_retry_ms;
	queue->last_try = queue->stopping;
	if (job_any(job))
		start(queue, QUEUE_RUNS_JOB, run_job, job_done);
	else
		job_clear(job);
}

bool queue_busy(const struct queue *queue)
{
	return queue->working == QUEUE_RUNS_JOB || queue->working == QUEUE_REPLACES;
}

void queue_stop(struct queue *queue)
{
	queue->stopping = true;
	queue->notes.all = true;
	/* Whatever it was, it is tried once more. */
	spill_stop(&queue->spill);
}

bool queue_saved(const struct queue *queue)
{
	if (!queue->opened)
		return true;
	return !queue_busy(queue) &&
	       (queue->outbox == NULL || streams_live(queue->options.streams).n == 0 ||
		       queue->spill.error != 0 || queue->spill.full);
}

bool queue_writes(const struct queue *queue)
{
	return queue->outbox != NULL && queue->spill.error == 0;
}

int64_t queue_deadline(const struct queue *queue)
{
	if (queue->working != QUEUE_IDLE)
		return INT64_MAX;
	if (queue->outbox == NULL)
		return queue->stopping ? INT64_MAX : queue->opening.retry_ms;
	int64_t now = now_ms(queue), due = spill_due(&queue->spill, now);
	if (notes_deadline(&queue->notes) < due)
		due = notes_deadline(&queue->notes);
	if (queue->load_retry_ms > now && queue->load_retry_ms < due)
		due = queue->load_retry_ms;
	return due;
}

const char *queue_health(const struct queue *queue)
{
	int err = queue->spill.error;
	if (!queue->opened)
		return !queue->opening.failed
			       ? "waiting for the outbox; another publisher may hold it"
		       : queue->opening.error == -EBUSY
			       ? "waiting for the outbox; another process holds its lock"
			       : "waiting for the outbox; it cannot be opened now";
	if (queue->opening.failed)
		return "the outbox was damaged and no new one can be begun; readings stay "
		       "in memory";
	if (err == -EBUSY)
		return "another process holds the outbox's lock; readings stay in memory";
	if (err != 0 || queue->notes.remove_failed || queue->notes.failed)
		return "the outbox cannot be written; its volume may be full";
	if (queue->load_failed)
		return "the outbox cannot be read";
	if (queue->spill.full)
		return "the outbox is full (OUTBOX_MAX_BYTES); the samplers keep what is "
		       "new";
	return NULL;
}

void queue_finish(struct queue *queue)
{
	opening_finish(&queue->opening);
	outbox_page_finish(&queue->page);
	outbox_close(queue->outbox);
	job_clear(&queue->job);
}
