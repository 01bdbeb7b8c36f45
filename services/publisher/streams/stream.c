#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASTY_MS 60000

struct stream *stream_create(const struct dp_stream_id *id, const char *node)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		return NULL;
	stream->id = *id;
	memcpy(stream->node, node, strlen(node) + 1);
	return stream;
}

void stream_destroy(struct stream *stream)
{
	if (stream == NULL)
		return;
	for (size_t i = 0; i < stream->n_live; i++)
		free(stream->live[i].json);
	free(stream->live);
	dp_intervals_finish(&stream->spilling);
	dp_intervals_finish(&stream->stored);
	dp_intervals_finish(&stream->accepted);
	dp_intervals_finish(&stream->answered);
	free(stream);
}

/* Index of the first live reading at or above seq. */
static size_t live_index(const struct stream *stream, uint64_t seq)
{
	size_t low = 0, high = stream->n_live;
	if (high > 0 && stream->live[high - 1].seq < seq)
		return high;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (stream->live[mid].seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool stream_holds(const struct stream *stream, uint64_t seq)
{
	size_t i = live_index(stream, seq);
	return (i < stream->n_live && stream->live[i].seq == seq) ||
	       dp_intervals_contains(&stream->spilling, seq) ||
	       dp_intervals_contains(&stream->stored, seq);
}

bool stream_empty(const struct stream *stream)
{
	return stream->n_live == 0 && stream->spilling.n == 0 && stream->stored.n == 0 &&
	       stream->accepted.n == 0 && stream->answered.n == 0;
}

uint64_t stream_stored(const struct stream *stream)
{
	const struct dp_intervals *stored = &stream->stored;
	uint64_t n = 0;
	for (size_t i = 0; i < stored->n; i++)
		n += stored->at[i].last - stored->at[i].first + 1;
	return n;
}

void stream_hear(struct stream *stream, int64_t now_ms, bool urgent)
{
	stream->heard_ms = now_ms;
	if (urgent && !stream->urgent)
		stream->urgent_ms = now_ms;
	stream->urgent = urgent;
	stream->patient = stream->patient || !urgent;
}

bool stream_is_hasty(struct stream *stream, int64_t now_ms)
{
	if (stream->patient || stream->noted_hasty || !stream->urgent ||
		now_ms - stream->urgent_ms < HASTY_MS)
		return false;
	stream->noted_hasty = true;
	return true;
}

void stream_hear_boot(struct stream *stream, struct boot *boot, uint64_t undated)
{
	stream->boot = boot;
	if (undated > stream->undated_to)
		stream->undated_to = undated;
}

void stream_load(struct stream *stream, uint64_t low, bool closed, uint64_t undated_to,
	struct dp_intervals *stored, struct boot *boot)
{
	stream->heard_low = low;
	stream->low_due = closed;
	stream->undated_to = undated_to;
	stream->stored = *stored;
	stream->boot = boot;
}

void stream_hear_low(struct stream *stream, uint64_t low, bool last)
{
	stream->heard_low = low;
	stream->low_due = last;
	stream->uplink.low_at_ms = stream->uplink.low_wait_ms = 0;
}

int stream_add_live(struct stream *stream, const struct live_reading *reading)
{
	if (stream_holds(stream, reading->seq))
		return -EEXIST;
	if (stream->n_live == stream->live_size) {
		size_t size = stream->live_size == 0 ? 64 : stream->live_size * 2;
		struct live_reading *live = realloc(stream->live, size * sizeof(*live));
		if (live == NULL)
			return -ENOMEM;
		stream->live = live;
		stream->live_size = size;
	}
	size_t i = live_index(stream, reading->seq);
	memmove(stream->live + i + 1, stream->live + i,
		(stream->n_live - i) * sizeof(*stream->live));
	stream->live[i] = *reading;
	stream->n_live++;
	stream->live_bytes += reading->len;
	if (reading->seq < stream->live_from)
		stream->live_from = reading->seq;
	return 0;
}

/* The smaller of `seq` and the oldest number that is held. */
static uint64_t oldest_below(const struct stream *stream, uint64_t seq)
{
	if (stream->n_live > 0 && stream->live[0].seq < seq)
		seq = stream->live[0].seq;
	if (stream->spilling.n > 0 && stream->spilling.at[0].first < seq)
		seq = stream->spilling.at[0].first;
	if (stream->stored.n > 0 && stream->stored.at[0].first < seq)
		seq = stream->stored.at[0].first;
	return seq;
}

uint64_t stream_low(const struct stream *stream)
{
	return stream->heard_low == 0 ? 0 : oldest_below(stream, stream->heard_low);
}

bool stream_waits(const struct stream *stream)
{
	return stream->boot != NULL && stream->boot->mark == DP_CLOCK_NONE &&
	       oldest_below(stream, UINT64_MAX) <= stream->undated_to;
}

enum dp_clock_mark stream_mark(const struct stream *stream, uint8_t clock)
{
	return clock == DP_CLOCK_NONE && stream->boot != NULL ? stream->boot->mark
							      : (enum dp_clock_mark)clock;
}

struct live_reading *stream_next_live(struct stream *stream)
{
	size_t i = live_index(stream, stream->live_from);
	while (i < stream->n_live && stream->live[i].in_flight)
		i++;
	if (i == stream->n_live)
		return NULL;
	stream->live_from = stream->live[i].seq;
	return &stream->live[i];
}

/* Move what `from` has of [first, last] to `to`. */
static int move_range(
	struct dp_intervals *from, struct dp_intervals *to, uint64_t first, uint64_t last)
{
	while (first <= last) {
		struct dp_interval gap;
		if (!dp_intervals_contains(from, first)) {
			/* Skip to where the set begins again. */
			size_t i = 0;
			while (i < from->n && from->at[i].last < first)
				i++;
			if (i == from->n || from->at[i].first > last)
				return 0;
			first = from->at[i].first;
		}
		uint64_t end = dp_intervals_missing(from, first, last, &gap) ? gap.first - 1
									     : last;
		int err = to != NULL ? dp_intervals_add(to, first, end) : 0;
		if (err == 0)
			err = dp_intervals_remove(from, first, end);
		if (err != 0)
			return err;
		if (end == UINT64_MAX)
			return 0;
		first = end + 1;
	}
	return 0;
}

int stream_answer(struct stream *stream, uint64_t first, uint64_t count)
{
	uint64_t last = first + count - 1;
	size_t from = live_index(stream, first);
	size_t to = from;
	while (to < stream->n_live && stream->live[to].seq <= last) {
		struct live_reading *reading = &stream->live[to];
		if (dp_intervals_add(&stream->accepted, reading->seq, reading->seq) != 0)
			return -ENOMEM;
		stream->live_bytes -= reading->len;
		free(reading->json);
		reading->json = NULL;
		to++;
	}
	if (to > from)
		memmove(stream->live + from, stream->live + to,
			(stream->n_live - to) * sizeof(*stream->live));
	stream->n_live -= to - from;
	/* What is being written now is found answered when the write is done. */
	int err = move_range(&stream->spilling, &stream->accepted, first, last);
	return err != 0 ? err : move_range(&stream->stored, &stream->answered, first, last);
}

int stream_accept_again(struct stream *stream, uint64_t seq)
{
	return dp_intervals_add(&stream->accepted, seq, seq);
}

int stream_accept_told(struct stream *stream, uint64_t last)
{
	return dp_intervals_remove(&stream->accepted, 0, last);
}

void stream_sent(struct stream *stream, uint64_t end)
{
	stream->live_from = end;
}

void stream_low_heard(struct stream *stream)
{
	stream->low_due = false;
	stream->uplink.low_wait_ms = 0;
}

void stream_unsend(struct stream *stream, uint64_t first, uint64_t count)
{
	for (size_t i = live_index(stream, first);
		i < stream->n_live && stream->live[i].seq - first < count; i++)
		stream->live[i].in_flight = false;
	if (first < stream->live_from)
		stream->live_from = first;
}

void stream_unsend_all(struct stream *stream)
{
	for (size_t i = 0; i < stream->n_live; i++)
		stream->live[i].in_flight = false;
	stream->live_from = 0;
}

int stream_spill(struct stream *stream,
	bool (*goes)(void *data, struct stream *stream, const struct live_reading *reading),
	void *data)
{
	size_t kept = 0, n = stream->n_live;
	int err = 0;
	for (size_t i = 0; i < n; i++) {
		const struct live_reading reading = stream->live[i];
		if (err == 0 && goes(data, stream, &reading)) {
			err = dp_intervals_add(&stream->spilling, reading.seq, reading.seq);
			stream->live_bytes -= reading.len;
		} else {
			stream->live[kept++] = reading;
		}
	}
	stream->n_live = kept;
	return err;
}

int stream_spilled(struct stream *stream, uint64_t seq)
{
	/* Answered while it was being written. */
	if (!dp_intervals_contains(&stream->spilling, seq))
		return dp_intervals_add(&stream->answered, seq, seq);
	int err = dp_intervals_remove(&stream->spilling, seq, seq);
	if (err == 0)
		err = dp_intervals_add(&stream->stored, seq, seq);
	/* If it was answered, came again and was written again: not to be removed now. */
	if (err == 0)
		err = dp_intervals_remove(&stream->answered, seq, seq);
	return err != 0 ? err : dp_intervals_add(&stream->accepted, seq, seq);
}

int stream_not_spilled(struct stream *stream, const struct live_reading *reading)
{
	if (!dp_intervals_contains(&stream->spilling, reading->seq))
		return -ENOENT;
	int err = dp_intervals_remove(&stream->spilling, reading->seq, reading->seq);
	return err != 0 ? err : stream_add_live(stream, reading);
}

int stream_give_up(struct stream *stream, uint64_t first, uint64_t last)
{
	int err = dp_intervals_remove(&stream->stored, first, last);
	if (err == 0)
		err = dp_intervals_add(&stream->answered, first, last);
	stream->low_due = stream->low_due || stream->heard_low > 0;
	return err;
}

void stream_begin_remove(struct stream *stream)
{
	dp_intervals_clear(&stream->answered);
}

int stream_not_removed(struct stream *stream, const struct dp_interval *range)
{
	return dp_intervals_add(&stream->answered, range->first, range->last);
}

void stream_lose_outbox(struct stream *stream)
{
	stream->low_due =
		stream->low_due || (stream->stored.n > 0 && stream->heard_low > 0);
	dp_intervals_clear(&stream->stored);
	dp_intervals_clear(&stream->answered);
	stream->outbox.row = stream->outbox.boot_row = 0;
	stream->outbox.low_written = false;
}
