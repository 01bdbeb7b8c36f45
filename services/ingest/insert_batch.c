#include "insert_batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "condensed.h"

#define GAPS_MAX 1024
#define SEEN_EVERY_US 3600000000

/* One above the last number that this copy of the message is about. */
static uint64_t part_end(const struct incoming *in)
{
	return in->part_first + in->part_count;
}

static int add_range(struct context *c, enum dp_ack_kind kind, uint64_t first,
	uint64_t count, const char *reason)
{
	if (c->in->response_topic == NULL || count == 0)
		return 0;
	struct result *last = c->results->n > 0 ? &c->results->at[c->results->n - 1] : NULL;
	if (last != NULL && last->about == c->in && last->range.kind == kind &&
		last->range.first + last->range.count == first &&
		last->range.reason == reason) {
		last->range.count += count;
		return 0;
	}
	const struct result result = {
		.about = c->in,
		.range = {.kind = kind,
			.stream = c->in->identity.stream,
			.first = first,
			.count = count,
			.reason = reason},
	};
	return results_add(c->results, &result);
}

static int add_whole(struct context *c, const char *reason)
{
	if (c->in->response_topic == NULL)
		return 0;
	const struct result result = {
		.about = c->in, .whole = true, .range = {.reason = reason}};
	return results_add(c->results, &result);
}

/* A message without readings is answered as well, or its publisher would repeat it. */
static int add_heard(struct context *c)
{
	if (c->in->response_topic == NULL)
		return 0;
	const struct result result = {.about = c->in, .heard = true};
	return results_add(c->results, &result);
}

/* The publisher has nothing below `low` any more: numbers missing there are lost. */
static int close_below(struct context *c, struct stream_row *stream, uint64_t low)
{
	struct dp_interval gap;
	int err = 0;
	while (err == 0 && low > 1 && dp_intervals_missing(stream->set, 1, low - 1, &gap)) {
		uint64_t count = gap.last - gap.first + 1;
		err = c->ops->add_lost(c, &gap);
		if (err == 0)
			err = dp_intervals_add(stream->set, gap.first, gap.last);
		stream->lost += count;
		c->counts->lost += count;
	}
	return err;
}

/* The batch's content cannot be used: it becomes one dead letter, its numbers are used up.
 */
static int reject_batch(
	struct context *c, const struct stream_row *stream, const char *reason)
{
	const struct incoming *in = c->in;
	struct dp_interval missing;
	int err = 0;
	/* If it was sent again, as our answer was lost, there is a dead letter already. */
	if (stream == NULL || dp_intervals_missing(stream->set, in->part_first,
				      part_end(in) - 1, &missing))
		err = context_dead_letter(
			c, reason, in->identity.first, in->payload, in->len);
	if (err == 0)
		err = add_range(c, DP_ACK_REJECTED, in->part_first, in->part_count, reason);
	return err;
}

static int reject_reading(
	struct context *c, uint64_t seq, const char *text, size_t len, const char *why)
{
	int err = context_dead_letter(c, why, seq, text, len);
	return err != 0 ? err : add_range(c, DP_ACK_REJECTED, seq, 1, why);
}

static int add_batch_reading(struct context *c, const struct stream_row *stream,
	const char *topic, struct dp_senml *pack, uint64_t seq, int found,
	const struct dp_reading *reading, const char *why)
{
	if (stream != NULL && dp_intervals_contains(stream->set, seq)) {
		c->counts->duplicates++;
		return add_range(c, DP_ACK_STORED, seq, 1, NULL);
	}
	int err = 0;
	if (c->in->refusals > 0) {
		why = REFUSED;
		found = -EBADMSG;
	}
	if (found == 1 && (!reading->has_time || reading->sensor.len == 0)) {
		why = reading->has_time ? "a reading without a sensor"
					: "a reading without a time";
		found = -EBADMSG;
	}
	if (found == 1) {
		err = context_add_reading(c, topic, reading, c->in->identity.clock);
		if (err == 0)
			return add_range(c, DP_ACK_STORED, seq, 1, NULL);
		if (err != -E2BIG)
			return err;
		why = TOO_MANY_QUANTITIES;
	}
	char *text = dp_senml_text(pack);
	if (text == NULL)
		return -ENOMEM;
	err = reject_reading(c, seq, text, strlen(text), why);
	free(text);
	return err;
}

/* The dead letter is a SenML pack with this one reading. */
static int reject_condensed(
	struct context *c, uint64_t seq, const struct dp_reading *reading, const char *why)
{
	char text[DP_READING_JSON + 2];
	int len = dp_reading_encode(reading, text + 1, sizeof(text) - 2);
	if (len < 0)
		return len;
	text[0] = '[';
	text[len + 1] = ']';
	return reject_reading(c, seq, text, (size_t)len + 2, why);
}

/* The place of all readings of a batch that have the same names. */
struct shared_place {
	bool looked_up;
	int found; /* what find_place() said */
	struct place place;
};

static int add_condensed_reading(struct context *c, const struct stream_row *stream,
	const char *topic, const struct dp_reading *reading, uint64_t seq,
	struct shared_place *at)
{
	if (dp_intervals_contains(stream->set, seq)) {
		c->counts->duplicates++;
		return add_range(c, DP_ACK_STORED, seq, 1, NULL);
	}
	/* Not before: a duplicate must not add a sensor or a column. */
	if (!at->looked_up)
		at->found = c->ops->find_place(c, topic, reading, &at->place);
	at->looked_up = true;
	if (at->found == -E2BIG)
		return reject_condensed(c, seq, reading, TOO_MANY_QUANTITIES);
	int err = at->found;
	if (err == 0)
		err = context_add_rows(
			c, topic, reading, &at->place, c->in->identity.clock);
	return err != 0 ? err : add_range(c, DP_ACK_STORED, seq, 1, NULL);
}

/* What our own publishers send: names are looked up once for all readings that share them.
 */
static int add_condensed(
	struct context *c, const struct stream_row *stream, const char *topic)
{
	const struct dp_identity *id = &c->in->identity;
	struct condensed batch;
	struct shared_place places[SCAN_SHAPES];
	int err = 0;
	bool fresh;
	condensed_open(&batch, c->in->payload);
	for (uint64_t seq = id->first; seq < part_end(c->in) && err == 0; seq++) {
		const struct dp_reading *reading = condensed_next(&batch, &fresh);
		struct shared_place *at = &places[batch.last];
		if (fresh)
			at->looked_up = false;
		if (seq >= c->in->part_first)
			err = add_condensed_reading(c, stream, topic, reading, seq, at);
	}
	return err;
}

/*
 * What others send: a document.
 * @param stream  NULL: the message is refused, and what is known of its stream is left as
 * it is
 */
static int add_pack(struct context *c, const struct stream_row *stream, const char *topic)
{
	const struct dp_identity *id = &c->in->identity;
	const char *why = "";
	struct dp_senml *pack;
	struct dp_reading reading;
	int err = dp_senml_open(&pack, c->in->payload, c->in->len, DP_SENML_NATIVE,
		c->in->received_us, &why);
	if (err == -EBADMSG)
		return reject_batch(c, stream, why);
	if (err != 0)
		return err;
	if (dp_senml_count(pack) != id->count) {
		dp_senml_close(pack);
		return reject_batch(
			c, stream, "count differs from the readings in the payload");
	}
	for (uint64_t seq = id->first; seq < part_end(c->in) && err == 0; seq++) {
		int found = dp_senml_next(pack, &reading, &why);
		if (seq >= c->in->part_first)
			err = add_batch_reading(
				c, stream, topic, pack, seq, found, &reading, why);
	}
	dp_senml_close(pack);
	return err;
}

/*
 * The database refuses something of the batch: what of it is not stored yet becomes
 * dead letters.
 * @param stream  NULL: what is known of its stream is left as it is
 */
static int reject_refused(struct context *c, const struct stream_row *stream)
{
	struct condensed batch;
	bool fresh;
	int err = 0;
	if (c->in->unreadable != NULL || c->in->len > c->options->max_message_bytes)
		return reject_batch(c, stream, REFUSED);
	if (!c->in->condensed)
		return add_pack(c, stream, "");
	condensed_open(&batch, c->in->payload);
	for (uint64_t seq = c->in->identity.first; seq < part_end(c->in) && err == 0;
		seq++) {
		const struct dp_reading *reading = condensed_next(&batch, &fresh);
		if (seq < c->in->part_first)
			continue;
		if (stream != NULL && dp_intervals_contains(stream->set, seq)) {
			c->counts->duplicates++;
			err = add_range(c, DP_ACK_STORED, seq, 1, NULL);
		} else {
			err = reject_condensed(c, seq, reading, REFUSED);
		}
	}
	return err;
}

/* The database refuses the stream's rows as well: write dead letters and nothing else. */
static int reject_alone(struct context *c)
{
	if (c->in->identity.count > 0)
		return reject_refused(c, NULL);
	int err = context_dead_letter(c, REFUSED, 0, c->in->payload, c->in->len);
	return err != 0 ? err : add_heard(c);
}

static int add_batch_readings(struct context *c, const struct stream_row *stream)
{
	char topic[DP_TOPIC_MAX];
	size_t topic_len = strlen(c->in->topic) - strlen("/batch");
	memcpy(topic, c->in->topic, topic_len);
	topic[topic_len] = '\0';
	if (c->in->refusals > 0)
		return reject_refused(c, stream);
	if (c->in->unreadable != NULL)
		return reject_batch(c, stream, c->in->unreadable);
	if (c->in->condensed)
		return add_condensed(c, stream, topic);
	if (c->in->len > c->options->max_message_bytes)
		return reject_batch(c, stream, "larger than MAX_MESSAGE_BYTES");
	return add_pack(c, stream, topic);
}

static int postpone(struct context *c, const char *reason)
{
	c->counts->later++;
	if (c->in->identity.count == 0)
		return 0;
	return add_range(c, DP_ACK_LATER, c->in->part_first, c->in->part_count, reason);
}

/* How many gaps: between the intervals, and before the first one. */
static size_t gaps(const struct dp_intervals *set)
{
	if (set->n == 0)
		return 0;
	return set->at[0].first == 1 ? set->n - 1 : set->n;
}

int insert_batch(struct context *c)
{
	const struct dp_identity *id = &c->in->identity;
	struct stream_row *stream;
	if (c->in->identity_error == -EPROTONOSUPPORT)
		return postpone(c, c->in->identity_why);
	if (c->in->identity_error != 0) {
		int err = context_dead_letter(
			c, c->in->identity_why, 0, c->in->payload, c->in->len);
		return err != 0 ? err : add_whole(c, c->in->identity_why);
	}
	if (id->odd_wait)
		c->counts->odd_waits++;
	if (c->in->refusals == REFUSALS_MAX)
		return reject_alone(c);
	int err = c->ops->find_stream(c, &stream);
	if (err != 0)
		return err;
	if (strcmp(stream->node, c->in->node) != 0)
		return id->count == 0 ? add_heard(c)
				      : postpone(c, "the stream belongs to another node");
	/* First, so that a rising `low` frees a stream that has too many gaps. */
	err = close_below(c, stream, id->low);
	if (err == 0 && id->count > 0) {
		uint64_t first = c->in->part_first, last = part_end(c->in) - 1;
		bool room = gaps(stream->set) < GAPS_MAX ||
			    dp_intervals_joins(stream->set, first, last);
		err = room ? add_batch_readings(c, stream)
			   : postpone(c,
				     "the stream has too many gaps; send the oldest first");
		if (err == 0 && room)
			err = dp_intervals_add(stream->set, first, last);
	}
	if (err == 0 && c->now_us - stream->seen > SEEN_EVERY_US)
		stream->seen = c->now_us;
	if (err == 0)
		err = c->ops->save_stream(c);
	if (err == 0 && id->count == 0)
		err = add_heard(c);
	return err;
}
