/* A turn of the outbox: on the work queue what waits for the disk, then its ends on the
 * loop. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "relay.h"

#define RETRY_MS 1000
#define SHRINK_RETRY_MS 60000

/* Run some writes as one transaction. */
static int write_together(
	struct outbox *outbox, int (*writes)(struct relay *r), struct relay *r)
{
	int err = outbox_begin(outbox);
	if (err == 0)
		err = writes(r);
	if (err == 0)
		err = outbox_commit(outbox);
	if (err != 0)
		outbox_rollback(outbox);
	return err;
}

static int do_notes(struct relay *r)
{
	struct turn *t = &r->turn;
	int err = t->floor_us != 0 ? outbox_set_floor(r->outbox, t->floor_us) : 0;
	for (size_t i = 0; i < t->n_dates && err == 0; i++)
		err = outbox_date_boot(r->outbox, &t->dates[i].known);
	for (size_t i = 0; i < t->n_closes && err == 0; i++)
		err = outbox_set_closed(
			r->outbox, t->closes[i].row, t->closes[i].low, t->closes[i].closed);
	return err;
}

static int do_removes(struct relay *r)
{
	struct turn *t = &r->turn;
	int err = 0;
	for (size_t i = 0; i < t->n_removes && err == 0; i++)
		err = outbox_remove(r->outbox, t->removes[i].stream->row,
			t->removes[i].range.first, t->removes[i].range.last);
	return err;
}

static int do_appends(struct relay *r)
{
	struct turn *t = &r->turn;
	struct stream *last = NULL;
	int64_t row = 0, boot_row = 0;
	int err = 0;
	for (size_t i = 0; i < t->n_appends && err == 0; i++) {
		struct append *append = &t->appends[i];
		if (append->stream != last) {
			last = append->stream;
			boot_row = 0;
			err = outbox_add_stream(r->outbox, &last->id, last->node, &row);
			if (err == 0)
				err = outbox_set_low(r->outbox, row, append->low);
		}
		if (append->boot != NULL && boot_row == 0 && err == 0)
			err = outbox_set_boot(r->outbox, row, append->boot->id, &boot_row);
		const struct outbox_reading reading = {row, append->held.seq,
			append->held.json, append->held.len, append->held.clock,
			append->held.boottime_ns};
		if (err == 0)
			err = outbox_append(r->outbox, &reading);
		append->row = row;
		append->boot_row = append->boot != NULL ? boot_row : 0;
	}
	return err;
}

/* A stream keeps its node's name, so that renaming the node does no harm. */
static int do_news(struct relay *r)
{
	struct turn *t = &r->turn;
	int err = 0;
	for (size_t i = 0; i < t->n_news && err == 0; i++)
		err = outbox_add_stream(r->outbox, &t->news[i].stream->id,
			t->news[i].stream->node, &t->news[i].row);
	return err;
}

/* Something is written as it is: whether it can be is all that is asked. */
static int do_probe(struct relay *r)
{
	return outbox_set_floor(r->outbox, r->floor_us);
}

static void turn_work(uv_work_t *work)
{
	struct relay *r = work->data;
	struct turn *t = &r->turn;
	const struct {
		bool due;
		int (*writes)(struct relay *r);
		int *result;
	} steps[] = {
		{t->n_news > 0, do_news, &t->news_result},
		{t->n_dates + t->n_closes > 0 || t->floor_us != 0, do_notes,
			&t->note_result},
		{t->n_removes > 0, do_removes, &t->remove_result},
		{t->n_appends > 0, do_appends, &t->append_result},
		{t->probe, do_probe, &t->probe_result},
	};
	bool busy = false;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		/* Whoever has it keeps all of them out: one wait a turn is enough. */
		*steps[i].result = !steps[i].due ? 0
				   : busy	 ? -EBUSY
					  : write_together(r->outbox, steps[i].writes, r);
		busy = busy || *steps[i].result == -EBUSY;
	}
	t->load_result = 0;
	if (t->load)
		t->load_result = outbox_load(r->outbox, t->load_row, t->load_seq, &r->page);
	t->shrink_result = t->shrink && !busy ? outbox_shrink(r->outbox) : 0;
	t->usage_result = outbox_usage(r->outbox, &t->usage);
}

/* ---- and its ends on the loop ---- */

void turn_must(int err)
{
	if (err != 0)
		dp_log_out_of_memory("the outbox's bookkeeping");
}

void *turn_array(size_t count, size_t size)
{
	void *array = calloc(count > 0 ? count : 1, size);
	if (array == NULL)
		dp_log_out_of_memory("the outbox's bookkeeping");
	return array;
}

static void appended(struct relay *r, struct append *append)
{
	struct stream *stream = append->stream;
	uint64_t seq = append->held.seq;
	stream->row = append->row;
	if (append->boot_row != 0)
		stream->boot_row = stream->boot->row = append->boot_row;
	if (dp_intervals_contains(&stream->spilling, seq)) {
		turn_must(dp_intervals_remove(&stream->spilling, seq, seq));
		turn_must(dp_intervals_add(&stream->stored, seq, seq));
		/* It was answered, came again and was written again: not to be removed now.
		 */
		turn_must(dp_intervals_remove(&stream->answered, seq, seq));
		turn_must(dp_intervals_add(&stream->accepted, seq, seq));
	} else {
		/* Answered while it was being written. */
		turn_must(dp_intervals_add(&stream->answered, seq, seq));
	}
	r->spilled++;
	free(append->held.json);
}

static void not_appended(struct relay *r, struct append *append)
{
	struct stream *stream = append->stream;
	uint64_t seq = append->held.seq, end;
	if (!dp_intervals_contains(&stream->spilling, seq)) {
		free(append->held.json);
		return;
	}
	turn_must(dp_intervals_remove(&stream->spilling, seq, seq));
	append->held.in_flight =
		delivery_in_flight(&r->delivery, (uint64_t)(uintptr_t)stream, seq, &end);
	turn_must(stream_hold(stream, &append->held));
	r->live++;
	r->live_bytes += append->held.len;
}

static void note_spill_result(struct relay *r, int err)
{
	if (err != 0 && r->spill_error == 0)
		dp_log(DP_LOG_ERROR, "cannot write the outbox; readings stay in memory",
			"file=%s error=\"%s\"", r->config->outbox, strerror(-err));
	if (err == 0 && r->spill_error != 0)
		dp_log(DP_LOG_INFO, "the outbox can be written again", "file=%s",
			r->config->outbox);
	r->spill_error = err;
	if (err != 0)
		r->spill_retry_ms = relay_now(r) + RETRY_MS;
}

/*
 * What should be in the file and is not, or cannot be sent, has been lost there. It is
 * asked for no more, it goes from the file, and the centre hears of it by `low`.
 */
static void drop_missing(struct relay *r)
{
	struct turn *t = &r->turn;
	struct stream *s = t->load_stream;
	struct dp_interval end;
	uint64_t last;
	if (r->page.n > 0 && r->page.readings[0].seq == t->load_seq)
		return;
	if (dp_intervals_missing(&s->stored, t->load_seq, DP_SEQ_MAX, &end))
		last = end.first - 1;
	else
		last = DP_SEQ_MAX;
	if (r->page.n > 0 && r->page.readings[0].seq <= last)
		last = r->page.readings[0].seq - 1;
	if (r->page.end <= last)
		last = r->page.end - 1;
	/* Answered while the page was loading: nothing is missing. */
	if (last < t->load_seq || last == UINT64_MAX ||
		!dp_intervals_contains(&s->stored, t->load_seq))
		return;
	dp_log(DP_LOG_ERROR,
		"readings are missing or damaged in the outbox and are given up",
		"file=%s node=%s first=%" PRIu64 " count=%" PRIu64, r->config->outbox,
		s->node, t->load_seq, last - t->load_seq + 1);
	r->damaged += last - t->load_seq + 1;
	turn_must(dp_intervals_remove(&s->stored, t->load_seq, last));
	turn_must(dp_intervals_add(&s->answered, t->load_seq, last));
	s->low_due = s->low_due || (s->stored.n == 0 && s->heard_low > 0);
}

static void loaded(struct relay *r)
{
	struct turn *t = &r->turn;
	bool parked = t->load_stream->parked_until_ms > relay_now(r);
	bool use = t->load_result == 0 && !r->page_stale && !parked;
	bool failed = r->load_failed;
	r->page_stream = use ? t->load_stream : NULL;
	r->page_at = 0;
	r->load_failed = t->load_result != 0;
	if (t->load_result == 0) {
		drop_missing(r);
		return;
	}
	r->load_retry_ms = relay_now(r) + RETRY_MS;
	if (!failed)
		dp_log(DP_LOG_ERROR, "cannot read the outbox, trying again",
			"file=%s error=\"%s\"", r->config->outbox,
			strerror(-t->load_result));
}

static void not_removed(struct relay *r)
{
	struct turn *t = &r->turn;
	for (size_t i = 0; i < t->n_removes; i++)
		turn_must(dp_intervals_add(&t->removes[i].stream->answered,
			t->removes[i].range.first, t->removes[i].range.last));
	r->removed_ms = relay_now(r) + RETRY_MS;
	if (!r->remove_failed)
		dp_log(DP_LOG_ERROR, "cannot remove answered readings from the outbox",
			"file=%s error=\"%s\"", r->config->outbox,
			strerror(-t->remove_result));
}

static void noted(struct relay *r)
{
	struct turn *t = &r->turn;
	bool any = t->n_dates + t->n_closes > 0 || t->floor_us != 0;
	if (t->note_result != 0) {
		if (!r->note_failed)
			dp_log(DP_LOG_WARN, "cannot write the outbox's notes, trying again",
				"file=%s error=\"%s\"", r->config->outbox,
				strerror(-t->note_result));
		r->note_failed = true;
		r->note_retry_ms = relay_now(r) + RETRY_MS;
		return;
	}
	r->note_failed = r->note_failed && !any;
	if (t->floor_us != 0)
		r->floor_us = t->floor_us;
	for (size_t i = 0; i < t->n_dates; i++) {
		struct boot *boot = t->dates[i].boot;
		/* It may have been decided anew meanwhile. */
		boot->due = boot->start_us != t->dates[i].known.start_us ||
			    boot->mark != t->dates[i].known.mark;
	}
	for (size_t i = 0; i < t->n_closes; i++)
		t->closes[i].stream->low_written = t->closes[i].closed;
}

static void note_usage(struct relay *r)
{
	const struct turn *t = &r->turn;
	uint64_t max = (uint64_t)r->config->outbox_max_bytes;
	bool stuck = t->shrink_result != 0 || t->usage.free_pages >= r->usage.free_pages;
	if (t->shrink && stuck)
		r->shrink_retry_ms = relay_now(r) + SHRINK_RETRY_MS;
	if (t->usage_result != 0)
		return;
	r->usage = t->usage;
	/* Not at once: a full outbox would say so again and again. */
	if (!r->outbox_full || r->usage.bytes > max - max / 16)
		return;
	r->outbox_full = false;
	dp_log(DP_LOG_INFO, "the outbox has room again", "file=%s", r->config->outbox);
}

void turn_forget(struct relay *r)
{
	struct turn *t = &r->turn;
	free(t->dates);
	free(t->closes);
	free(t->news);
	free(t->removes);
	free(t->appends);
	*t = (struct turn){.running = false};
}

static bool damaged(const struct turn *t)
{
	return t->news_result == -EUCLEAN || t->note_result == -EUCLEAN ||
	       t->remove_result == -EUCLEAN || t->append_result == -EUCLEAN ||
	       t->load_result == -EUCLEAN || t->usage_result == -EUCLEAN ||
	       t->shrink_result == -EUCLEAN || t->probe_result == -EUCLEAN;
}

static void turn_done(uv_work_t *work, int status)
{
	struct relay *r = work->data;
	struct turn *t = &r->turn;
	(void)status;
	noted(r);
	if (t->n_removes > 0 && t->remove_result != 0)
		not_removed(r);
	if (t->n_removes > 0)
		r->remove_failed = t->remove_result != 0;
	for (size_t i = 0; i < t->n_appends; i++) {
		if (t->append_result == 0)
			appended(r, &t->appends[i]);
		else
			not_appended(r, &t->appends[i]);
	}
	for (size_t i = 0; i < t->n_news && t->news_result == 0; i++)
		t->news[i].stream->row = t->news[i].row;
	int err = t->append_result != 0 ? t->append_result : t->news_result;
	if (t->n_news > 0 || t->n_appends > 0 || t->probe)
		note_spill_result(r, err != 0 ? err : t->probe_result);
	if (t->load)
		loaded(r);
	note_usage(r);
	bool replace = damaged(t);
	turn_forget(r);
	if (replace)
		opening_replace(r);
}

void turn_start(struct relay *r)
{
	struct turn *t = &r->turn;
	t->running = true;
	t->work.data = r;
	uv_queue_work(&r->service->loop, &t->work, turn_work, turn_done);
}
