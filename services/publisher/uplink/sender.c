#include "sender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "leaving.h"
#include "log.h"
#include "parking.h"
#include "random.h"
#include "reading.h"
#include "ungranted.h"

#define RESERVE 8 /* of the window for live readings */
#define RESEND_MS 3000
#define RESEND_LIMIT_MS 60000
#define RETRY_MS 1000
#define LOW_FIRST_MS 3000
#define LOW_LIMIT_MS 300000
#define CROWDED 4 /* a quarter of memory is taken */

static uint64_t handle(const struct stream *stream)
{
	return (uint64_t)(uintptr_t)stream;
}

struct stream *sender_stream_of(const struct flight *flight)
{
	return (struct stream *)(uintptr_t)flight->owner;
}

void sender_init(struct sender *sender, const struct publisher_config *config,
	struct streams *streams)
{
	uint64_t seed;
	*sender = (struct sender){.config = config,
		.streams = streams,
		.batch = malloc(REFUSAL_BATCH_BYTES + DP_READING_JSON)};
	if (sender->batch == NULL)
		dp_log_out_of_memory("a batch");
	refusal_init(&sender->refusal);
	pacing_init(&sender->pacing, config->answer_ms, config->send_every_ms);
	encoding_init(&sender->encoding, config->deflate, REFUSAL_BATCH_BYTES);
	dp_random(&seed, sizeof(seed));
	delivery_init(&sender->delivery, sender->flights, SENDER_WINDOW, RESERVE, RESEND_MS,
		RESEND_LIMIT_MS, seed);
}

void sender_finish(struct sender *sender)
{
	encoding_finish(&sender->encoding);
	free(sender->batch);
}

/* ---- the page of the outbox that is sent ---- */

void sender_page(struct sender *sender, struct stream *stream,
	const struct outbox_page *page, int64_t now_ms)
{
	if (!leaving_paused(stream, now_ms))
		paging_take(&sender->paging, stream, page);
}

bool sender_in_flight(
	const struct sender *sender, const struct stream *stream, uint64_t seq)
{
	uint64_t end;
	return delivery_in_flight(&sender->delivery, handle(stream), seq, &end);
}

bool sender_uses(const struct sender *sender, const struct stream *stream)
{
	return paging_uses(&sender->paging, stream) ||
	       delivery_next_flight(&sender->delivery, handle(stream), 0) != UINT64_MAX;
}

static bool disk_first(const struct sender *sender)
{
	return sender->config->spill_after_ms == 0;
}

/* Whether readings are in the outbox before they are sent. */
static bool from_disk(const struct sender *sender)
{
	return disk_first(sender) ||
	       sender->config->spill_after_ms < sender->config->send_every_ms;
}

/* When what is in the outbox is sent: less than a message's worth waits for more. */
static int64_t backlog_due(const struct sender *sender, int64_t now_ms)
{
	bool little = leaving_stored(sender->streams, now_ms) <
		      (uint64_t)sender->config->batch_size;
	return from_disk(sender) && little && sender->backlog_ms != 0
		       ? pacing_due(&sender->pacing, sender->backlog_ms)
		       : 0;
}

struct page_want sender_wants(struct sender *sender, int64_t now_ms)
{
	struct page_want *wanted = &sender->paging.wanted;
	wanted->stream = NULL;
	if (now_ms < sender->page_retry_ms || paging_has_more(&sender->paging) ||
		!delivery_may_send(&sender->delivery, DELIVERY_BACKLOG))
		return *wanted;
	sender->paging.stream = NULL;
	for (struct stream *s = sender->streams->first; s != NULL; s = s->next) {
		if (!leaving_allowed(s, now_ms))
			continue;
		uint64_t seq = paging_first(&sender->delivery, handle(s), s);
		if (seq != 0) {
			*wanted = (struct page_want){s, seq};
			break;
		}
	}
	if (wanted->stream == NULL)
		sender->backlog_ms = 0;
	else if (sender->backlog_ms == 0)
		sender->backlog_ms = now_ms;
	if (backlog_due(sender, now_ms) > now_ms)
		wanted->stream = NULL;
	return *wanted;
}

/* ---- batches out ---- */

static int publish(const struct sender *sender, const struct message *message)
{
	return message_publish(
		message, sender->bus, sender->config->topic_prefix, sender->instance);
}

/* Not while the centre takes nothing of a stream, as its `later` would be taken for an
 * answer to the encoding. */
static bool deflates(const struct sender *sender, const struct stream *stream)
{
	return encoding_on(&sender->encoding) && !parking_begun(stream);
}

/* Joins readings in sender->batch; @return false when it is full. */
static bool add_to_batch(struct sender *sender, const struct stream *stream, size_t *len,
	const char *json, size_t json_len, int64_t boottime_ns)
{
	char dated[DP_READING_JSON];
	if (boottime_ns != 0) {
		int n = dp_reading_date(json, json_len,
			dating_time(stream->boot, boottime_ns), dated, sizeof(dated));
		json_len = n < 0 ? json_len : (size_t)n;
		json = n < 0 ? json : dated;
	}
	bool deflate = deflates(sender, stream);
	if (*len > 0 && *len + json_len + 2 > refusal_limit(&sender->refusal, deflate))
		return false;
	sender->batch[*len] = *len == 0 ? '[' : ',';
	memcpy(sender->batch + *len + 1, json, json_len);
	*len += json_len + 1;
	return true;
}

/* How long the centre's answer to the next message may take. */
static uint32_t wait_ms(
	const struct sender *sender, const struct stream *stream, enum delivery_class class)
{
	/* What is in the outbox has been answered to the sampler. */
	bool urgent = stream->urgent && class == DELIVERY_LIVE;
	bool at_once = sender->crowded || urgent || ungranted(stream) ||
		       delivery_presses(&sender->delivery, class);
	return at_once ? 0 : (uint32_t)sender->config->answer_ms;
}

/* Under a name that was refused one reading is enough to ask whether it still is. */
static uint32_t most_readings(const struct sender *sender, const struct stream *stream)
{
	return ungranted(stream) ? 1 : (uint32_t)sender->config->batch_size;
}

static void note_sent(struct sender *sender, const struct stream *stream, int64_t now_ms)
{
	if (!ungranted(stream))
		return;
	ungranted_ask(
		sender->streams, stream, now_ms + sender->config->answer_ms + RESEND_MS);
	paging_forget_of(&sender->paging, stream->node);
}

static bool send_batch(struct sender *sender, struct stream *stream,
	enum delivery_class class, uint64_t first, uint32_t count, uint8_t clock,
	size_t len, int64_t now_ms)
{
	bool deflate = deflates(sender, stream);
	sender->batch[len++] = ']';
	struct message message = {.stream = stream,
		.first = first,
		.count = count,
		.clock = stream_mark(stream, clock),
		.wait_ms = wait_ms(sender, stream, class),
		.metered = sender->config->metered,
		.payload = encoding_payload(
			&sender->encoding, sender->batch, len, deflate, now_ms)};
	const struct flight *flight = delivery_send(&sender->delivery, class,
		handle(stream), first, count, now_ms, message.wait_ms);
	message.number = flight->number;
	int err = publish(sender, &message);
	if (err == 0) {
		sender->batches++;
		const struct flight_size size = {.text = len,
			.sent = message.payload.len,
			.deflate = deflate,
			.encoded = message.payload.encoding != DP_ENCODING_NONE};
		delivery_sized(&sender->delivery, message.number, &size);
		if (first + count > stream->uplink.sent_end)
			stream->uplink.sent_end = first + count;
		note_sent(sender, stream, now_ms);
		return true;
	}
	struct flight back;
	delivery_remove(&sender->delivery, message.number, &back);
	sender_unsend(sender, stream, first, count);
	if (err == -EMSGSIZE && count > 1) {
		refusal_shrink(&sender->refusal, deflate, len);
	} else if (err == -EMSGSIZE) {
		refusal_note(&sender->refusal, REFUSAL_TOO_LARGE, now_ms,
			&sender->delivery.random);
	} else if (err != -ENOTCONN) {
		dp_log(DP_LOG_ERROR, "cannot publish a batch", "error=\"%s\"",
			strerror(-err));
		sender->page_retry_ms = now_ms + RETRY_MS;
	}
	return false;
}

static bool send_live(struct sender *sender, struct stream *stream, int64_t now_ms)
{
	struct live_reading *next = stream_next_live(stream);
	if (next == NULL)
		return false;
	const struct live_reading *end = stream->live + stream->n_live;
	uint64_t first = next->seq;
	uint8_t clock = next->clock;
	uint32_t count = 0;
	size_t len = 0;
	while (next < end && next->seq == first + count && next->clock == clock &&
		!next->in_flight && count < most_readings(sender, stream) &&
		add_to_batch(
			sender, stream, &len, next->json, next->len, next->boottime_ns)) {
		next->in_flight = true;
		count++;
		next++;
	}
	stream_sent(stream, first + count);
	return send_batch(sender, stream, DELIVERY_LIVE, first, count, clock, len, now_ms);
}

static bool send_backlog(struct sender *sender, int64_t now_ms)
{
	struct paging *paging = &sender->paging;
	struct stream *stream = paging->stream;
	if (stream == NULL || leaving_paused(stream, now_ms))
		return false;
	const struct outbox_reading *reading =
		paging_next(paging, &sender->delivery, handle(stream));
	if (reading == NULL)
		return false;
	uint64_t limit =
		delivery_next_flight(&sender->delivery, handle(stream), reading->seq);
	uint64_t first = reading->seq;
	uint8_t clock = reading->clock;
	uint32_t count = 0;
	size_t len = 0;
	while (paging_has_more(paging)) {
		reading = &paging->page->readings[paging->at];
		if (reading->seq != first + count || reading->clock != clock ||
			reading->seq >= limit || count == most_readings(sender, stream) ||
			!dp_intervals_contains(&stream->stored, reading->seq) ||
			!add_to_batch(sender, stream, &len, reading->json, reading->len,
				reading->boottime_ns))
			break;
		count++;
		paging->at++;
	}
	return send_batch(
		sender, stream, DELIVERY_BACKLOG, first, count, clock, len, now_ms);
}

/*
 * A sampler has closed its stream and nothing is left that could carry it: it
 * is said until the centre has answered.
 */
static void send_low(struct sender *sender, struct stream *stream, int64_t now_ms)
{
	if (!stream->low_due || stream->n_live > 0 || stream->spilling.n > 0 ||
		stream->stored.n > 0 || now_ms < stream->uplink.low_at_ms)
		return;
	const struct message message = {.stream = stream,
		.first = stream_low(stream),
		.wait_ms = wait_ms(sender, stream, DELIVERY_LIVE),
		.metered = sender->config->metered,
		.payload = {.at = ""}};
	if (publish(sender, &message) != 0)
		return;
	stream->uplink.low_wait_ms = stream->uplink.low_wait_ms == 0
					     ? LOW_FIRST_MS
					     : 2 * stream->uplink.low_wait_ms;
	if (stream->uplink.low_wait_ms > LOW_LIMIT_MS)
		stream->uplink.low_wait_ms = LOW_LIMIT_MS;
	stream->uplink.low_at_ms =
		now_ms + message.wait_ms +
		dp_jitter_ms(&sender->delivery.random, stream->uplink.low_wait_ms);
	note_sent(sender, stream, now_ms);
}

/* Its sampler cannot wait: what the centre may still gather is asked for again, at once. */
static void urge(struct sender *sender, struct stream *stream)
{
	struct flight flight;
	while (stream->urgent && !stream->uplink.urged &&
		delivery_recall(&sender->delivery, handle(stream), &flight))
		sender_unsend(sender, stream, flight.first, flight.count);
	stream->uplink.urged = stream->urgent;
}

/* When a stream's readings in memory leave: all when the first that is unsent is due. */
static int64_t live_due(const struct sender *sender, struct stream *stream)
{
	const struct live_reading *next = stream_next_live(stream);
	if (next == NULL)
		return INT64_MAX;
	return sender->crowded || stream->urgent
		       ? next->arrived_ms
		       : pacing_due(&sender->pacing, next->arrived_ms);
}

static bool any_live_due(const struct sender *sender, int64_t now_ms)
{
	struct stream *s = sender->streams->first;
	while (s != NULL && (!leaving_allowed(s, now_ms) || live_due(sender, s) > now_ms))
		s = s->next;
	return s != NULL;
}

bool sender_send(struct sender *sender, bool no_disk, int64_t now_ms)
{
	const struct streams_live live = streams_live(sender->streams);
	/* With the disk first, readings are sent from the outbox, if it can be written. */
	bool from_memory = !disk_first(sender) || no_disk;
	bool sent = false;
	uint64_t batches = sender->batches;
	sender->crowded = streams_crowded(&live, CROWDED);
	if (now_ms < sender->refusal.until_ms)
		return false;
	for (struct stream *s = sender->streams->first; s != NULL; s = s->next)
		urge(sender, s);
	bool leave = from_memory && any_live_due(sender, now_ms);
	for (struct stream *s = sender->streams->first; s != NULL; s = s->next) {
		if (!leaving_allowed(s, now_ms))
			continue;
		while (leave && leaving_allowed(s, now_ms) &&
			delivery_may_send(&sender->delivery, DELIVERY_LIVE) &&
			send_live(sender, s, now_ms))
			sent = true;
		send_low(sender, s, now_ms);
	}
	while (delivery_may_send(&sender->delivery, DELIVERY_BACKLOG) &&
		send_backlog(sender, now_ms))
		sent = sent || from_disk(sender);
	if (sent)
		pacing_sent(&sender->pacing, now_ms);
	return sender->batches != batches;
}

/* ---- what becomes of them ---- */

void sender_answered(
	struct sender *sender, const struct stream *stream, uint64_t first, uint64_t count)
{
	delivery_answer(&sender->delivery, handle(stream), first, count);
}

bool sender_any_encoded(const struct sender *sender, const struct stream *stream,
	uint64_t first, uint64_t count)
{
	return delivery_any_encoded(&sender->delivery, handle(stream), first, count);
}

const struct flight *sender_find(
	const struct sender *sender, const void *correlation, size_t len)
{
	uint64_t number;
	return message_number(correlation, len, &number)
		       ? delivery_find(&sender->delivery, number)
		       : NULL;
}

bool sender_message_answered(struct sender *sender, uint64_t number, struct flight *flight)
{
	return delivery_remove(&sender->delivery, number, flight);
}

void sender_unsend(
	struct sender *sender, struct stream *stream, uint64_t first, uint64_t count)
{
	stream_unsend(stream, first, count);
	/* The page was read past it. */
	if (stream == sender->paging.stream)
		paging_forget(&sender->paging);
}

void sender_send_plain(struct sender *sender, int64_t now_ms)
{
	encoding_postponed(&sender->encoding, now_ms);
	pacing_reset(&sender->pacing);
}

unsigned sender_expire(struct sender *sender, int64_t now_ms)
{
	struct flight flight;
	unsigned n = 0;
	while (delivery_expire(&sender->delivery, now_ms, &flight)) {
		sender_unsend(
			sender, sender_stream_of(&flight), flight.first, flight.count);
		n += flight.wait_ms == 0;
	}
	return n;
}

void sender_refuse_name(struct sender *sender, const char *name, int64_t now_ms)
{
	struct flight flight;
	for (struct stream *s = sender->streams->first; s != NULL; s = s->next) {
		while (strcmp(s->node, name) == 0 &&
			delivery_withdraw(&sender->delivery, handle(s), &flight))
			sender_unsend(sender, s, flight.first, flight.count);
	}
	paging_forget_of(&sender->paging, name);
	ungranted_begin(sender->streams, name, sender->config->node_name, now_ms,
		&sender->delivery.random);
}

void sender_disconnected(struct sender *sender)
{
	struct flight flight;
	while (delivery_reset(&sender->delivery, &flight))
		;
	for (struct stream *s = sender->streams->first; s != NULL; s = s->next) {
		stream_unsend_all(s);
		s->uplink.low_at_ms = 0;
	}
	refusal_forget_pause(&sender->refusal);
	ungranted_forget_pause(sender->streams);
	pacing_reset(&sender->pacing);
	paging_forget(&sender->paging);
}

bool sender_last_word_answered(
	struct sender *sender, const void *correlation, size_t len, bool *strange)
{
	struct dp_stream_id id;
	if (!message_last_word(correlation, len, &id))
		return false;
	struct stream *stream = streams_find(sender->streams, &id);
	/* An answer to an earlier last word: readings may have come since. */
	*strange = stream == NULL || stream->uplink.low_wait_ms == 0;
	if (!*strange) {
		stream_low_heard(stream);
		ungranted_end(sender->streams, stream);
	}
	return true;
}

int64_t sender_deadline(const struct sender *sender, int64_t now_ms)
{
	int64_t due = delivery_deadline(&sender->delivery);
	if (sender->page_retry_ms > now_ms && sender->page_retry_ms < due)
		due = sender->page_retry_ms;
	if (sender->refusal.until_ms > now_ms && sender->refusal.until_ms < due)
		due = sender->refusal.until_ms;
	if (backlog_due(sender, now_ms) > now_ms && backlog_due(sender, now_ms) < due)
		due = backlog_due(sender, now_ms);
	for (struct stream *s = sender->streams->first; s != NULL; s = s->next) {
		if (!disk_first(sender) && live_due(sender, s) > now_ms &&
			live_due(sender, s) < due)
			due = live_due(sender, s);
		if (leaving_paused(s, now_ms) && leaving_paused_until(s) < due)
			due = leaving_paused_until(s);
		if (s->low_due && s->uplink.low_at_ms > now_ms && s->uplink.low_at_ms < due)
			due = s->uplink.low_at_ms;
	}
	return due;
}
