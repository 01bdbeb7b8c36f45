/* The outbox file: whose it is, opening it, and what happens when it is damaged. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aside.h"
#include "log.h"
#include "relay.h"
#include "version.h"

#define LOCK_RETRY_MS 1000
#define RETRY_FIRST_MS 1000
#define RETRY_LIMIT_MS 10000

struct opening {
	struct relay *r;
	struct stream **end;
	int err;
};

static void take_boot(void *data, const struct outbox_boot *found)
{
	struct opening *opening = data;
	struct boot *boot = dating_boot(&opening->r->dating, found->id);
	if (boot == NULL)
		dp_log_out_of_memory("a boot");
	if (boot->row != 0)
		opening->err = -EUCLEAN; /* twice: two rows would be taken for one */
	boot->row = found->row;
	boot->mark = found->mark;
	boot->start_us = found->start_us;
}

static void take_stream(void *data, struct outbox_stream *found)
{
	struct opening *opening = data;
	const struct dating *dating = &opening->r->dating;
	if (stream_find(opening->r->streams, &found->id) != NULL)
		opening->err = -EUCLEAN;
	struct stream *stream = stream_create(&found->id, found->node);
	if (stream == NULL)
		dp_log_out_of_memory("a stream");
	stream->row = found->row;
	stream->heard_low = found->low;
	stream->low_due = stream->low_written = found->closed;
	stream->stored = found->stored;
	stream->undated_to = found->undated_to;
	for (size_t i = 0; i < dating->n && found->boot != 0; i++) {
		if (dating->boots[i]->row == found->boot)
			stream->boot = dating->boots[i];
	}
	if (stream->boot != NULL)
		dating_note(stream->boot, found->last_ns);
	else if (found->boot != 0)
		opening->err = -EUCLEAN;
	stream->boot_row = found->boot;
	*opening->end = stream;
	opening->end = &stream->next;
}

static void forget_all(struct relay *r)
{
	while (r->streams != NULL) {
		struct stream *next = r->streams->next;
		stream_destroy(r->streams);
		r->streams = next;
	}
	dating_finish(&r->dating);
}

/* Open the file and read what it holds. `expected`: it should be there if it ever was. */
static int open_file(struct relay *r, bool expected)
{
	struct opening opening = {r, &r->streams, 0};
	enum dp_file_state state = dp_file_state(r->lock, r->config->outbox);
	if (state == DP_FILE_GONE && expected)
		dp_log(DP_LOG_WARN, "the outbox that was here is gone; a new one is begun",
			"file=%s", r->config->outbox);
	/* One that is being begun anew is empty when that was cut short. */
	int err = state == DP_FILE_EMPTIED && expected
			  ? -EUCLEAN
			  : outbox_open(&r->outbox, r->config->outbox);
	if (err == 0)
		err = dp_file_mark(r->lock);
	if (err == 0)
		err = outbox_boots(r->outbox, take_boot, &opening);
	if (err == 0)
		err = outbox_streams(r->outbox, take_stream, &opening);
	if (err == 0)
		err = opening.err;
	if (err == 0)
		err = outbox_usage(r->outbox, &r->open_usage);
	return err;
}

static void close_file(struct relay *r)
{
	outbox_close(r->outbox);
	r->outbox = NULL;
}

/*
 * Nothing is thrown away: what is damaged stays for whoever can still read it. Once it is
 * set aside, only the new file is still to be made. @return 0 also when there is no file
 * any more
 */
static int set_aside(struct relay *r)
{
	const struct dp_clock *clock = &r->service->clock;
	char name[PATH_MAX];
	close_file(r);
	if (r->set_aside)
		return 0;
	int err = dp_set_aside(
		r->config->outbox, clock->wall_us(clock->data), name, sizeof(name));
	if (err == 0)
		dp_log(DP_LOG_ERROR,
			"the outbox was damaged and is set aside; what it held is lost "
			"here "
			"unless it can be read from there",
			"file=%s aside=%s", r->config->outbox, name);
	else if (err != -ENOENT && !r->open_failed)
		dp_log(DP_LOG_ERROR,
			"the outbox is damaged and cannot be set aside; trying again",
			"file=%s error=\"%s\"", r->config->outbox, strerror(-err));
	if (err == -ENOENT)
		err = 0;
	r->set_aside = err == 0;
	return err;
}

/* A new file after the damaged one; what is damaged anew is set aside as well. */
static int begin_anew(struct relay *r)
{
	int err = set_aside(r);
	if (err == 0)
		err = open_file(r, false);
	if (err == 0 || err == -EUCLEAN)
		r->set_aside = false;
	if (err != 0)
		close_file(r);
	return err;
}

static void open_work(uv_work_t *work)
{
	struct relay *r = work->data;
	int err = r->set_aside ? begin_anew(r) : open_file(r, true);
	if (err != 0) {
		forget_all(r);
		close_file(r);
	}
	if (err == -EUCLEAN)
		err = begin_anew(r);
	if (err != 0)
		forget_all(r);
	r->open_result = err;
}

static void fail(struct relay *r, const char *what, int err)
{
	dp_log(DP_LOG_ERROR, what, "file=%s error=\"%s\"", r->config->outbox,
		strerror(-err));
	dp_service_stop(r->service, EXIT_FAILURE);
}

/* What passes by itself, or may. */
static bool may_pass(int err)
{
	return err == -EBUSY || err == -ENOSPC || err == -ENOMEM || err == -EIO;
}

/* Later again: at first after a second, then less and less often. */
static void retry_later(struct relay *r, const char *what, int err)
{
	if (!r->open_failed || r->open_error != err)
		dp_log(DP_LOG_ERROR, what, "file=%s error=\"%s\"", r->config->outbox,
			strerror(-err));
	r->open_wait_ms = r->open_failed ? 2 * r->open_wait_ms : RETRY_FIRST_MS;
	if (r->open_wait_ms > RETRY_LIMIT_MS)
		r->open_wait_ms = RETRY_LIMIT_MS;
	r->open_failed = true;
	r->open_error = err;
	r->lock_retry_ms = relay_now(r) + r->open_wait_ms;
}

static void opened(struct relay *r)
{
	if (r->open_failed)
		dp_log(DP_LOG_INFO, "the outbox can be used now", "file=%s",
			r->config->outbox);
	r->open_failed = false;
	r->open_error = 0;
	r->usage = r->open_usage;
}

static void open_done(uv_work_t *work, int status)
{
	struct relay *r = work->data;
	(void)status;
	r->opening = false;
	if (may_pass(r->open_result)) {
		retry_later(r, "cannot use the outbox now; trying again", r->open_result);
		return;
	}
	if (r->open_result != 0) {
		fail(r, "cannot use the outbox", r->open_result);
		return;
	}
	opened(r);
	r->opened = true;
	memcpy(r->instance, outbox_instance(r->outbox), sizeof(r->instance));
	int64_t built_us = dp_build_epoch * 1000000, known_us = outbox_floor_us(r->outbox);
	r->dating.floor_us = known_us > built_us ? known_us : built_us;
	r->floor_us = r->dating.floor_us;
}

/* @return whether we are the one user of the outbox now */
static bool take_lock(struct relay *r)
{
	if (r->lock < 0)
		r->lock = outbox_lock(r->config->outbox);
	if (r->lock >= 0)
		return true;
	if (r->lock != -EWOULDBLOCK) {
		fail(r, "cannot use the outbox; its folder must exist and be writable",
			r->lock);
		return false;
	}
	if (r->lock_retry_ms == 0)
		dp_log(DP_LOG_WARN, "another publisher has the outbox, waiting for it",
			"file=%s", r->config->outbox);
	r->lock_retry_ms = relay_now(r) + LOCK_RETRY_MS;
	return false;
}

void opening_start(struct relay *r)
{
	if (r->opening || r->outbox != NULL || r->stopping ||
		relay_now(r) < r->lock_retry_ms || !take_lock(r))
		return;
	r->opening = true;
	r->open_work.data = r;
	uv_queue_work(&r->service->loop, &r->open_work, open_work, open_done);
}

/* ---- damaged while it is in use ---- */

static void reopen_work(uv_work_t *work)
{
	struct relay *r = work->data;
	r->open_result = set_aside(r);
	if (r->open_result == 0)
		r->open_result = outbox_open(&r->outbox, r->config->outbox);
	if (r->open_result == 0)
		r->open_result = outbox_usage(r->outbox, &r->open_usage);
	if (r->open_result == 0 || r->open_result == -EUCLEAN)
		r->set_aside = false;
	if (r->open_result != 0)
		close_file(r);
}

/*
 * Without a file the publisher goes on: what is in memory can still reach the centre, and
 * beyond that the samplers keep theirs.
 */
static void reopen_done(uv_work_t *work, int status)
{
	struct relay *r = work->data;
	(void)status;
	r->turn.running = false;
	if (r->open_result != 0)
		retry_later(r,
			"cannot begin a new outbox; readings stay in memory, trying again",
			r->open_result);
	else
		opened(r);
}

/* What only the file had is gone; its streams say so with their next `low`. */
static void forget_stored(struct relay *r)
{
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		s->low_due = s->low_due || (s->stored.n > 0 && s->heard_low > 0);
		dp_intervals_clear(&s->stored);
		dp_intervals_clear(&s->answered);
		s->row = s->boot_row = 0;
		s->low_written = false;
	}
	for (size_t i = 0; i < r->dating.n; i++)
		r->dating.boots[i]->row = 0;
	r->floor_us = 0;
	r->remove_failed = r->note_failed = r->load_failed = false;
}

static void reopen(struct relay *r)
{
	/* As if a turn were under way: nobody else touches the file. */
	r->turn.running = true;
	r->open_work.data = r;
	uv_queue_work(&r->service->loop, &r->open_work, reopen_work, reopen_done);
}

void opening_replace(struct relay *r)
{
	spill_forget_page(r);
	forget_stored(r);
	reopen(r);
}

bool opening_mend(struct relay *r)
{
	if (r->outbox != NULL || r->turn.running)
		return false;
	if (!r->stopping && relay_now(r) >= r->lock_retry_ms)
		reopen(r);
	return true;
}

void opening_end(struct relay *r)
{
	forget_all(r);
	outbox_page_finish(&r->page);
	outbox_close(r->outbox);
	if (r->lock >= 0)
		close(r->lock);
}
