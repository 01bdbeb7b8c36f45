#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "relay.h"

#define LOCK_RETRY_MS 1000
#define SPILL_RETRY_MS 1000
#define REMOVE_EVERY_MS 200
#define REMOVE_AT_ONCE 64 /* ranges */

/* ---- opening ---- */

struct opening {
	struct relay *r;
	struct stream **end;
};

static void take_stream(void *data, struct outbox_stream *found)
{
	struct opening *opening = data;
	struct stream *stream = stream_create(&found->id, found->node);
	if (stream == NULL)
		dp_log_out_of_memory("a stream");
	stream->row = found->row;
	stream->heard_low = found->low;
	stream->stored = found->stored;
	*opening->end = stream;
	opening->end = &stream->next;
}

static void open_work(uv_work_t *work)
{
	struct relay *r = work->data;
	struct opening opening = {r, &r->streams};
	r->open_result = outbox_open(&r->outbox, r->config->outbox);
	if (r->open_result == 0)
		r->open_result = outbox_streams(r->outbox, take_stream, &opening);
}

static void open_done(uv_work_t *work, int status)
{
	struct relay *r = work->data;
	(void)status;
	r->opening = false;
	if (r->open_result != 0) {
		dp_log(DP_LOG_ERROR, "cannot use the outbox", "file=%s error=\"%s\"",
			r->config->outbox, strerror(-r->open_result));
		dp_service_stop(r->service, EXIT_FAILURE);
		return;
	}
	r->opened = true;
}

void spill_open(struct relay *r)
{
	if (r->opening || r->outbox != NULL || r->stopping ||
		relay_now(r) < r->lock_retry_ms)
		return;
	r->lock = outbox_lock(r->config->outbox);
	if (r->lock == -EWOULDBLOCK) {
		if (r->lock_retry_ms == 0)
			dp_log(DP_LOG_WARN,
				"another publisher has the outbox, waiting for it",
				"file=%s", r->config->outbox);
		r->lock_retry_ms = relay_now(r) + LOCK_RETRY_MS;
		return;
	}
	if (r->lock < 0) {
		dp_log(DP_LOG_ERROR,
			"cannot use the outbox; its folder must exist and be writable",
			"file=%s error=\"%s\"", r->config->outbox, strerror(-r->lock));
		dp_service_stop(r->service, EXIT_FAILURE);
		return;
	}
	r->opening = true;
	r->open_work.data = r;
	uv_queue_work(&r->service->loop, &r->open_work, open_work, open_done);
}

/* ---- a turn, on the work queue ---- */

static int do_removes(struct relay *r)
{
	struct turn *t = &r->turn;
	if (t->n_removes == 0)
		return 0;
	int err = outbox_begin(r->outbox);
	for (size_t i = 0; i < t->n_removes && err == 0; i++)
		err = outbox_remove(r->outbox, t->removes[i].stream->row,
			t->removes[i].range.first, t->removes[i].range.last);
	if (err == 0)
		err = outbox_commit(r->outbox);
	if (err != 0)
		outbox_rollback(r->outbox);
	return err;
}

static int do_appends(struct relay *r)
{
	struct turn *t = &r->turn;
	struct stream *last = NULL;
	int64_t row = 0;
	if (t->n_appends == 0)
		return 0;
	int err = outbox_begin(r->outbox);
	for (size_t i = 0; i < t->n_appends && err == 0; i++) {
		struct append *append = &t->appends[i];
		if (append->stream != last) {
			last = append->stream;
			err = outbox_add_stream(r->outbox, &last->id, last->node, &row);
			if (err == 0)
				err = outbox_set_low(r->outbox, row, append->low);
		}
		const struct outbox_reading reading = {row, append->held.seq,
			append->held.json, append->held.len, append->held.clock};
		if (err == 0)
			err = outbox_append(r->outbox, &reading);
		append->row = row;
	}
	if (err == 0)
		err = outbox_commit(r->outbox);
	if (err != 0)
		outbox_rollback(r->outbox);
	return err;
}

/* A stream keeps its node's name, so that renaming the node does no harm. */
static int do_news(struct relay *r)
{
	struct turn *t = &r->turn;
	int err = 0;
	for (size_t i = 0; i < t->n_news && err == 0; i++)
		err = outbox_add_stream(
			r->outbox, &t->news[i]->id, t->news[i]->node, &t->news[i]->row);
	return err;
}

static void turn_work(uv_work_t *work)
{
	struct relay *r = work->data;
	struct turn *t = &r->turn;
	t->news_result = do_news(r);
	t->remove_result = do_removes(r);
	t->append_result = do_appends(r);
	t->load_result = 0;
	if (t->load)
		t->load_result = outbox_load(r->outbox, t->load_row, t->load_seq, &r->page);
}

/* ---- and its ends on the loop ---- */

static void must(int err)
{
	if (err != 0)
		dp_log_out_of_memory("the outbox's bookkeeping");
}

static void appended(struct relay *r, struct append *append)
{
	struct stream *stream = append->stream;
	uint64_t seq = append->held.seq;
	stream->row = append->row;
	if (dp_intervals_contains(&stream->spilling, seq)) {
		must(dp_intervals_remove(&stream->spilling, seq, seq));
		must(dp_intervals_add(&stream->stored, seq, seq));
		/* It was answered, came again and was written again: not to be removed now.
		 */
		must(dp_intervals_remove(&stream->answered, seq, seq));
		must(dp_intervals_add(&stream->accepted, seq, seq));
	} else {
		/* Answered while it was being written. */
		must(dp_intervals_add(&stream->answered, seq, seq));
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
	must(dp_intervals_remove(&stream->spilling, seq, seq));
	append->held.in_flight =
		dp_delivery_in_flight(&r->delivery, (uint64_t)(uintptr_t)stream, seq, &end);
	must(stream_hold(stream, &append->held));
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
		r->spill_retry_ms = relay_now(r) + SPILL_RETRY_MS;
}

/* What should be in the file and is not has been lost there: it is asked for no more. */
static void drop_missing(struct relay *r)
{
	struct turn *t = &r->turn;
	struct dp_intervals *stored = &t->load_stream->stored;
	struct dp_interval end;
	uint64_t last = t->load_seq;
	if (r->page.n > 0 && r->page.readings[0].seq == t->load_seq)
		return;
	if (dp_intervals_missing(stored, t->load_seq, DP_SEQ_MAX, &end))
		last = end.first - 1;
	if (r->page.n > 0 && r->page.readings[0].seq <= last)
		last = r->page.readings[0].seq - 1;
	/* Answered while the page was loading: nothing is missing. */
	if (last < t->load_seq || !dp_intervals_contains(stored, t->load_seq))
		return;
	dp_log(DP_LOG_ERROR, "readings are missing in the outbox",
		"file=%s first=%" PRIu64 " count=%" PRIu64, r->config->outbox, t->load_seq,
		last - t->load_seq + 1);
	must(dp_intervals_remove(stored, t->load_seq, last));
}

static void loaded(struct relay *r)
{
	struct turn *t = &r->turn;
	bool parked = t->load_stream->parked_until_ms > relay_now(r);
	bool use = t->load_result == 0 && !r->page_stale && !parked;
	r->page_stream = use ? t->load_stream : NULL;
	r->page_at = 0;
	if (t->load_result == 0) {
		drop_missing(r);
		return;
	}
	r->load_retry_ms = relay_now(r) + SPILL_RETRY_MS;
	dp_log(DP_LOG_ERROR, "cannot read the outbox, trying again", "file=%s error=\"%s\"",
		r->config->outbox, strerror(-t->load_result));
}

static void not_removed(struct relay *r)
{
	struct turn *t = &r->turn;
	for (size_t i = 0; i < t->n_removes; i++)
		must(dp_intervals_add(&t->removes[i].stream->answered,
			t->removes[i].range.first, t->removes[i].range.last));
	r->removed_ms = relay_now(r) + SPILL_RETRY_MS;
	if (!r->remove_failed)
		dp_log(DP_LOG_ERROR, "cannot remove answered readings from the outbox",
			"file=%s error=\"%s\"", r->config->outbox,
			strerror(-t->remove_result));
}

static void turn_done(uv_work_t *work, int status)
{
	struct relay *r = work->data;
	struct turn *t = &r->turn;
	(void)status;
	t->running = false;
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
	if (t->n_news > 0 || t->n_appends > 0)
		note_spill_result(
			r, t->append_result != 0 ? t->append_result : t->news_result);
	if (t->load)
		loaded(r);
	free(t->news);
	free(t->removes);
	free(t->appends);
	t->news = NULL;
	t->removes = NULL;
	t->appends = NULL;
	t->n_news = t->n_removes = t->n_appends = 0;
	t->load = false;
}

static void collect_news(struct relay *r)
{
	struct turn *t = &r->turn;
	size_t n = 0;
	for (struct stream *s = r->streams; s != NULL; s = s->next)
		n += s->row == 0;
	if (n == 0 || relay_now(r) < r->spill_retry_ms)
		return;
	t->news = calloc(n, sizeof(struct stream *));
	must(t->news == NULL ? -ENOMEM : 0);
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->row == 0)
			t->news[t->n_news++] = s;
	}
}

static bool removes_due(const struct relay *r)
{
	size_t n = 0;
	for (const struct stream *s = r->streams; s != NULL; s = s->next)
		n += s->answered.n;
	if (n == 0 || (r->remove_failed && relay_now(r) < r->removed_ms))
		return false;
	return n >= REMOVE_AT_ONCE || r->flush ||
	       relay_now(r) - r->removed_ms >= REMOVE_EVERY_MS;
}

static void collect_removes(struct relay *r)
{
	struct turn *t = &r->turn;
	size_t n = 0;
	for (struct stream *s = r->streams; s != NULL; s = s->next)
		n += s->answered.n;
	t->removes = calloc(n, sizeof(*t->removes));
	must(t->removes == NULL ? -ENOMEM : 0);
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->answered.n; i++) {
			t->removes[t->n_removes].stream = s;
			t->removes[t->n_removes++].range = s->answered.at[i];
		}
		dp_intervals_clear(&s->answered);
	}
	r->removed_ms = relay_now(r);
}

static bool crowded(const struct relay *r)
{
	return r->live >= RELAY_LIVE_MAX / 2 || r->live_bytes >= RELAY_LIVE_BYTES / 2;
}

static int64_t live_due(const struct relay *r)
{
	int64_t due = INT64_MAX;
	for (const struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->n_live > 0 &&
			s->live[0].arrived_ms + r->config->spill_after_ms < due)
			due = s->live[0].arrived_ms + r->config->spill_after_ms;
	}
	if (due != INT64_MAX && r->flush)
		return INT64_MIN;
	/* Memory is filling faster than time passes. */
	if (crowded(r) && due > relay_now(r))
		due = relay_now(r);
	return due != INT64_MAX && due < r->spill_retry_ms ? r->spill_retry_ms : due;
}

/* What has waited at least half as long goes along: fewer, larger commits. */
static void collect_appends(struct relay *r)
{
	struct turn *t = &r->turn;
	bool all = r->flush || crowded(r);
	int64_t before = relay_now(r) - (all ? 0 : r->config->spill_after_ms / 2);
	t->appends = calloc(r->live, sizeof(*t->appends));
	must(t->appends == NULL ? -ENOMEM : 0);
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		size_t kept = 0;
		uint64_t low = stream_low(s);
		for (size_t i = 0; i < s->n_live; i++) {
			struct held *held = &s->live[i];
			if (held->arrived_ms > before) {
				s->live[kept++] = *held;
				continue;
			}
			must(dp_intervals_add(&s->spilling, held->seq, held->seq));
			t->appends[t->n_appends++] =
				(struct append){.stream = s, .held = *held, .low = low};
			r->live--;
			r->live_bytes -= held->len;
		}
		s->n_live = kept;
	}
}

/* The first reading in the outbox that is neither in flight nor parked. */
static bool wants_page(struct relay *r, struct stream **stream, uint64_t *seq)
{
	if (r->stopping || !dp_bus_connected(r->upstream) ||
		relay_now(r) < r->load_retry_ms ||
		(r->page_stream != NULL && r->page_at < r->page.n) ||
		!dp_delivery_may_send(&r->delivery, DP_BACKLOG))
		return false;
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->stored.n == 0 || s->parked_until_ms > relay_now(r))
			continue;
		uint64_t at = 0;
		for (size_t i = 0; i < s->stored.n; i++) {
			const struct dp_interval *range = &s->stored.at[i];
			uint64_t end;
			if (at < range->first)
				at = range->first;
			while (at <= range->last &&
				dp_delivery_in_flight(
					&r->delivery, (uint64_t)(uintptr_t)s, at, &end))
				at = end;
			if (at <= range->last) {
				*stream = s;
				*seq = at;
				return true;
			}
		}
	}
	return false;
}

void spill_work(struct relay *r)
{
	struct turn *t = &r->turn;
	if (t->running)
		return;
	if (r->page_stream != NULL && r->page_at >= r->page.n)
		r->page_stream = NULL;
	collect_news(r);
	if (removes_due(r))
		collect_removes(r);
	if (live_due(r) <= relay_now(r))
		collect_appends(r);
	t->load = wants_page(r, &t->load_stream, &t->load_seq);
	if (t->load)
		t->load_row = t->load_stream->row;
	if (t->n_news == 0 && t->n_removes == 0 && t->n_appends == 0 && !t->load)
		return;
	if (t->load) {
		r->page_stream = NULL;
		r->page_stale = false;
	}
	t->running = true;
	t->work.data = r;
	uv_queue_work(&r->service->loop, &t->work, turn_work, turn_done);
}

int64_t spill_deadline(const struct relay *r)
{
	if (!r->opened)
		return r->opening || r->stopping ? INT64_MAX : r->lock_retry_ms;
	if (r->turn.running)
		return INT64_MAX;
	int64_t due = live_due(r);
	if (r->load_retry_ms > relay_now(r) && r->load_retry_ms < due)
		due = r->load_retry_ms;
	for (const struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->answered.n > 0 && r->removed_ms + REMOVE_EVERY_MS < due)
			due = r->removed_ms + REMOVE_EVERY_MS;
	}
	return due;
}

void spill_forget_page(struct relay *r)
{
	r->page_stream = NULL;
	r->page_stale = true;
}

void spill_close(struct relay *r)
{
	outbox_page_finish(&r->page);
	outbox_close(r->outbox);
	if (r->lock >= 0)
		close(r->lock);
}
