#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "relay.h"

#define REMOVE_EVERY_MS 200
#define REMOVE_AT_ONCE 64 /* ranges */
#define ROW_BYTES 24	  /* of a reading in the file beside its text, about */
#define SHRINK_ABOVE 256  /* free pages */
#define PROBE_AFTER_MS 5000

/* ---- what the outbox is to remember beside readings ---- */

static bool date_due(const struct boot *boot)
{
	return boot->due && boot->row != 0;
}

/* Its last word has waited long enough to be written, or need not be remembered. */
static bool close_due(const struct relay *r, const struct stream *s)
{
	if (s->row == 0 || s->low_due == s->low_written)
		return false;
	return !s->low_due || r->flush ||
	       relay_now(r) - s->heard_ms >= r->config->spill_after_ms;
}

static void collect_notes(struct relay *r)
{
	struct turn *t = &r->turn;
	if (relay_now(r) < r->note_retry_ms)
		return;
	if (r->dating.floor_us != r->floor_us && r->waiting_since_ms == 0 &&
		r->dating.n > 0)
		t->floor_us = r->dating.floor_us;
	for (size_t i = 0; i < r->dating.n; i++)
		t->n_dates += date_due(r->dating.boots[i]);
	for (const struct stream *s = r->streams; s != NULL; s = s->next)
		t->n_closes += close_due(r, s);
	if (t->n_dates + t->n_closes == 0) {
		r->note_failed = r->note_failed && t->floor_us != 0;
		return;
	}
	t->dates = turn_array(t->n_dates, sizeof(*t->dates));
	t->closes = turn_array(t->n_closes, sizeof(*t->closes));
	t->n_dates = t->n_closes = 0;
	for (size_t i = 0; i < r->dating.n; i++) {
		struct boot *boot = r->dating.boots[i];
		if (!date_due(boot))
			continue;
		t->dates[t->n_dates].boot = boot;
		t->dates[t->n_dates++].known = (struct outbox_boot){
			.row = boot->row, .mark = boot->mark, .start_us = boot->start_us};
	}
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		if (!close_due(r, s))
			continue;
		t->closes[t->n_closes].stream = s;
		t->closes[t->n_closes].row = s->row;
		t->closes[t->n_closes].low = s->heard_low;
		t->closes[t->n_closes++].closed = s->low_due;
	}
}

/* ---- readings out ---- */

static void collect_news(struct relay *r)
{
	struct turn *t = &r->turn;
	size_t n = 0;
	for (struct stream *s = r->streams; s != NULL; s = s->next)
		n += s->row == 0;
	if (n == 0 || relay_now(r) < r->spill_retry_ms)
		return;
	t->news = turn_array(n, sizeof(*t->news));
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->row == 0)
			t->news[t->n_news++].stream = s;
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
	t->removes = turn_array(n, sizeof(*t->removes));
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->answered.n; i++) {
			t->removes[t->n_removes].stream = s;
			t->removes[t->n_removes++].range = s->answered.at[i];
		}
		dp_intervals_clear(&s->answered);
	}
	r->removed_ms = relay_now(r);
}

/* ---- readings in ---- */

static bool crowded(const struct relay *r)
{
	return r->live >= RELAY_LIVE_MAX / 2 || r->live_bytes >= RELAY_LIVE_BYTES / 2;
}

static int64_t live_due(const struct relay *r)
{
	int64_t due = INT64_MAX;
	if (r->outbox_full)
		return INT64_MAX;
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

static uint64_t row_bytes(const struct held *held)
{
	return (uint64_t)held->len + ROW_BYTES;
}

/* What is to be written this time: what has waited at least half as long as it may. */
static bool is_due(const struct relay *r, const struct held *held)
{
	bool all = r->flush || crowded(r);
	return held->arrived_ms <= relay_now(r) - (all ? 0 : r->config->spill_after_ms / 2);
}

static uint64_t due_bytes(const struct relay *r)
{
	uint64_t bytes = 0;
	for (const struct stream *s = r->streams; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->n_live; i++)
			bytes += is_due(r, &s->live[i]) ? row_bytes(&s->live[i]) : 0;
	}
	return bytes;
}

static uint64_t room_in(const struct relay *r)
{
	uint64_t max = (uint64_t)r->config->outbox_max_bytes, used = r->usage.bytes;
	return max > used ? max - used : 0;
}

/* Let the oldest go until about so many bytes are free; the centre hears it by `low`. */
static uint64_t drop_oldest(struct relay *r, uint64_t bytes)
{
	uint64_t each = r->outbox_count > 0 ? r->usage.bytes / r->outbox_count + 1 : 1;
	uint64_t freed = 0;
	for (struct stream *s = r->streams; s != NULL && freed < bytes; s = s->next) {
		while (s->stored.n > 0 && freed < bytes) {
			struct dp_interval range = s->stored.at[0];
			uint64_t n = (bytes - freed) / each + 1;
			if (range.last - range.first >= n)
				range.last = range.first + n - 1;
			n = range.last - range.first + 1;
			turn_must(dp_intervals_remove(&s->stored, range.first, range.last));
			turn_must(dp_intervals_add(&s->answered, range.first, range.last));
			freed += n * each;
			r->dropped += n;
		}
		s->low_due = s->low_due || (s->stored.n == 0 && s->heard_low > 0);
	}
	if (freed > 0)
		spill_forget_page(r);
	return freed;
}

/* How many bytes may be appended; those that do not fit stay with the samplers. */
static uint64_t make_room(struct relay *r)
{
	uint64_t room = room_in(r), wanted = due_bytes(r);
	if (wanted <= room)
		return room;
	bool drop = strcmp(r->config->outbox_full, SETTINGS_DROP_OLDEST) == 0;
	if (drop && r->dropped == 0)
		dp_log(DP_LOG_ERROR, "the outbox is full, the oldest readings are dropped",
			"file=%s max_bytes=%" PRId64, r->config->outbox,
			r->config->outbox_max_bytes);
	if (drop)
		room += drop_oldest(r, wanted - room);
	if (wanted <= room)
		return room;
	dp_log(DP_LOG_ERROR, "the outbox is full; what is new stays with the samplers",
		"file=%s max_bytes=%" PRId64, r->config->outbox,
		r->config->outbox_max_bytes);
	r->outbox_full = true;
	return room;
}

static void collect_appends(struct relay *r, uint64_t room)
{
	struct turn *t = &r->turn;
	t->appends = turn_array(r->live, sizeof(*t->appends));
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		size_t kept = 0;
		uint64_t low = stream_low(s);
		for (size_t i = 0; i < s->n_live; i++) {
			struct held *held = &s->live[i];
			if (!is_due(r, held) || row_bytes(held) > room) {
				s->live[kept++] = *held;
				continue;
			}
			room -= row_bytes(held);
			turn_must(dp_intervals_add(&s->spilling, held->seq, held->seq));
			t->appends[t->n_appends++] = (struct append){.stream = s,
				.held = *held,
				.low = low,
				.boot = held->boottime_ns != 0 ? s->boot : NULL};
			r->live--;
			r->live_bytes -= held->len;
		}
		s->n_live = kept;
	}
}

/* ---- readings to be sent ---- */

/* The first reading in the outbox that is neither in flight nor parked. */
static bool wants_page(struct relay *r, struct stream **stream, uint64_t *seq)
{
	if (r->stopping || !dp_bus_connected(r->upstream) ||
		relay_now(r) < r->load_retry_ms ||
		(r->page_stream != NULL && r->page_at < r->page.n) ||
		!delivery_may_send(&r->delivery, DELIVERY_BACKLOG))
		return false;
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->stored.n == 0 || s->parked_until_ms > relay_now(r) ||
			stream_waits(s))
			continue;
		uint64_t at = 0;
		for (size_t i = 0; i < s->stored.n; i++) {
			const struct dp_interval *range = &s->stored.at[i];
			uint64_t end;
			if (at < range->first)
				at = range->first;
			while (at <= range->last &&
				delivery_in_flight(
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

/* Nothing is left to be written: whether it could be is asked for, and not said for good.
 */
static int64_t probe_due(const struct relay *r)
{
	return r->spill_error != 0 && !r->stopping ? r->spill_retry_ms + PROBE_AFTER_MS
						   : INT64_MAX;
}

void spill_work(struct relay *r)
{
	struct turn *t = &r->turn;
	/* Stopping, one failure is enough: what is in memory stays with the samplers. */
	if (t->running || opening_mend(r) || (r->stopping && r->spill_error != 0))
		return;
	if (r->page_stream != NULL && r->page_at >= r->page.n)
		r->page_stream = NULL;
	collect_news(r);
	collect_notes(r);
	uint64_t room = live_due(r) <= relay_now(r) ? make_room(r) : 0;
	if (removes_due(r))
		collect_removes(r);
	if (room > 0)
		collect_appends(r, room);
	t->load = wants_page(r, &t->load_stream, &t->load_seq);
	if (t->load)
		t->load_row = t->load_stream->row;
	r->page.no_boot = t->load && t->load_stream->boot == NULL;
	r->load_failed = r->load_failed && r->outbox_count > 0;
	t->probe = probe_due(r) <= relay_now(r);
	t->shrink = r->outbox_count == 0 && r->usage.free_pages > SHRINK_ABOVE &&
		    relay_now(r) >= r->shrink_retry_ms;
	if (t->n_news + t->n_dates + t->n_closes + t->n_removes + t->n_appends == 0 &&
		t->floor_us == 0 && !t->load && !t->shrink && !t->probe) {
		turn_forget(r);
		return;
	}
	if (t->load) {
		r->page_stream = NULL;
		r->page_stale = false;
	}
	turn_start(r);
}

int64_t spill_deadline(const struct relay *r)
{
	if (!r->opened)
		return r->opening || r->stopping ? INT64_MAX : r->lock_retry_ms;
	if (r->turn.running)
		return INT64_MAX;
	if (r->outbox == NULL)
		return r->stopping ? INT64_MAX : r->lock_retry_ms;
	int64_t due = live_due(r);
	if (probe_due(r) < due)
		due = probe_due(r);
	if (r->note_failed && r->note_retry_ms < due)
		due = r->note_retry_ms;
	if (r->load_retry_ms > relay_now(r) && r->load_retry_ms < due)
		due = r->load_retry_ms;
	for (const struct stream *s = r->streams; s != NULL; s = s->next) {
		if (s->answered.n > 0 && r->removed_ms + REMOVE_EVERY_MS < due)
			due = r->removed_ms + REMOVE_EVERY_MS;
		/* Without a row there is nothing that could be closed. */
		if (s->row == 0 && r->spill_retry_ms < due)
			due = r->spill_retry_ms;
		int64_t close_ms = s->heard_ms + r->config->spill_after_ms;
		if (s->row != 0 && s->low_due && !s->low_written && close_ms < due)
			due = close_ms < r->note_retry_ms ? r->note_retry_ms : close_ms;
	}
	return due;
}

void spill_forget_page(struct relay *r)
{
	r->page_stream = NULL;
	r->page_stale = true;
}
