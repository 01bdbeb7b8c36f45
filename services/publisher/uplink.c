#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ack.h"
#include "backoff.h"
#include "log.h"
#include "number.h"
#include "relay.h"

#define SESSION_EXPIRY_S 60
#define RETRY_MS 1000
#define PARK_FIRST_MS 5000
#define PARK_LIMIT_MS 300000
#define LOW_PREFIX "low-" /* of the correlation data of a message without readings */
#define LOW_FIRST_MS 3000
#define LOW_LIMIT_MS 300000

/* ---- the page of the outbox that is sent ---- */

/* What is asked for begins too late now as well. */
static void forget_page(struct relay *r)
{
	r->page_stream = NULL;
	r->wanted.stream = NULL;
}

/* The page was read past what is to be sent again. */
static void forget_page_of(struct relay *r, const struct stream *stream)
{
	if (stream == r->page_stream)
		forget_page(r);
}

void uplink_page(void *relay, struct stream *stream, const struct outbox_page *page)
{
	struct relay *r = relay;
	if (r->wanted.stream != stream || stream->parked_until_ms > relay_now(r))
		return;
	r->wanted.stream = NULL;
	r->page = page;
	r->page_stream = stream;
	r->page_at = 0;
}

bool uplink_in_flight(void *relay, const struct stream *stream, uint64_t seq)
{
	const struct relay *r = relay;
	uint64_t end;
	return delivery_in_flight(&r->delivery, (uint64_t)(uintptr_t)stream, seq, &end);
}

bool uplink_uses(const struct relay *r, const struct stream *stream)
{
	return stream == r->page_stream || stream == r->wanted.stream ||
	       delivery_next_flight(&r->delivery, (uint64_t)(uintptr_t)stream, 0) !=
		       UINT64_MAX;
}

/* The stream's first reading in the outbox that is not in flight; 0 none. */
static uint64_t first_to_send(const struct relay *r, const struct stream *s)
{
	for (size_t i = 0; i < s->stored.n; i++) {
		uint64_t at = s->stored.at[i].first, end;
		while (at <= s->stored.at[i].last &&
			delivery_in_flight(&r->delivery, (uint64_t)(uintptr_t)s, at, &end))
			at = end;
		if (at <= s->stored.at[i].last)
			return at;
	}
	return 0;
}

struct queue_want uplink_wants(struct relay *r)
{
	r->wanted.stream = NULL;
	if (!dp_bus_connected(r->upstream) || relay_now(r) < r->page_retry_ms ||
		(r->page_stream != NULL && r->page_at < r->page->n) ||
		!delivery_may_send(&r->delivery, DELIVERY_BACKLOG))
		return r->wanted;
	r->page_stream = NULL;
	for (struct stream *s = r->streams.first; s != NULL; s = s->next) {
		if (s->parked_until_ms > relay_now(r) || stream_waits(s))
			continue;
		uint64_t seq = first_to_send(r, s);
		if (seq != 0) {
			r->wanted = (struct queue_want){s, seq};
			break;
		}
	}
	return r->wanted;
}

/* ---- batches out ---- */

static int publish_batch(struct relay *r, struct stream *stream, uint64_t first,
	uint32_t count, enum dp_clock_mark clock, uint64_t number, size_t len)
{
	const struct dp_identity identity = {.stream = stream->id,
		.first = first,
		.count = count,
		.low = stream_low(stream),
		.clock = clock};
	struct dp_identity_text text;
	char topic[DP_TOPIC_MAX], answer[DP_TOPIC_MAX];
	char correlation[sizeof(LOW_PREFIX) + DP_STREAM_HEX];
	dp_identity_encode(&identity, &text);
	snprintf(
		topic, sizeof(topic), "%s/%s/batch", r->config->topic_prefix, stream->node);
	snprintf(answer, sizeof(answer), "ack/%s/%s", stream->node, r->queue.instance);
	int n = count == 0 ? snprintf(correlation, sizeof(correlation), LOW_PREFIX "%s",
				     text.stream)
			   : snprintf(correlation, sizeof(correlation), "%" PRIu64, number);
	const struct dp_bus_message message = {
		.topic = topic,
		.payload = r->batch,
		.len = len,
		.qos = 1,
		.content_type = DP_CONTENT_TYPE,
		.response_topic = answer,
		.correlation = correlation,
		.correlation_len = (size_t)n,
		.properties = text.properties,
		.n_properties = text.n,
	};
	return dp_bus_publish(r->upstream, &message);
}

/* Joins readings in r->batch; @return false when it is full. */
static bool add_to_batch(struct relay *r, const struct stream *stream, size_t *len,
	const char *json, size_t json_len, int64_t boottime_ns)
{
	char dated[DP_READING_JSON];
	if (boottime_ns != 0) {
		int n = dp_reading_date(json, json_len,
			dating_time(stream->boot, boottime_ns), dated, sizeof(dated));
		json_len = n < 0 ? json_len : (size_t)n;
		json = n < 0 ? json : dated;
	}
	if (*len > 0 && *len + json_len + 2 > r->batch_limit)
		return false;
	r->batch[*len] = *len == 0 ? '[' : ',';
	memcpy(r->batch + *len + 1, json, json_len);
	*len += json_len + 1;
	return true;
}

static bool send_batch(struct relay *r, struct stream *stream, enum delivery_class class,
	uint64_t first, uint32_t count, uint8_t clock, size_t len)
{
	r->batch[len++] = ']';
	const struct flight *flight = delivery_send(&r->delivery, class,
		(uint64_t)(uintptr_t)stream, first, count, relay_now(r));
	uint64_t number = flight->number;
	int err = publish_batch(
		r, stream, first, count, stream_mark(stream, clock), number, len);
	if (err == 0) {
		r->batches++;
		if (len > r->largest)
			r->largest = len;
		if (count > r->most)
			r->most = count;
		if (first + count > stream->sent_end)
			stream->sent_end = first + count;
		return true;
	}
	struct flight back;
	delivery_take(&r->delivery, number, &back);
	stream_unsend(stream, first, count);
	forget_page_of(r, stream);
	if (err == -EMSGSIZE && count > 1) {
		refusal_shrink(r, len);
	} else if (err == -EMSGSIZE) {
		refusal_note(r, REFUSAL_TOO_LARGE);
	} else if (err != -ENOTCONN) {
		dp_log(DP_LOG_ERROR, "cannot publish a batch", "error=\"%s\"",
			strerror(-err));
		r->page_retry_ms = relay_now(r) + RETRY_MS;
	}
	return false;
}

static bool send_live(struct relay *r, struct stream *stream)
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
		!next->in_flight && count < (uint32_t)r->config->batch_size &&
		add_to_batch(r, stream, &len, next->json, next->len, next->boottime_ns)) {
		next->in_flight = true;
		count++;
		next++;
	}
	stream->live_from = first + count;
	return send_batch(r, stream, DELIVERY_LIVE, first, count, clock, len);
}

/* The next of the page that is neither in flight nor answered meanwhile. */
static const struct outbox_reading *page_next(struct relay *r)
{
	uint64_t owner = (uint64_t)(uintptr_t)r->page_stream;
	while (r->page_at < r->page->n) {
		const struct outbox_reading *reading = &r->page->readings[r->page_at];
		uint64_t end;
		if (dp_intervals_contains(&r->page_stream->stored, reading->seq) &&
			!delivery_in_flight(&r->delivery, owner, reading->seq, &end))
			return reading;
		r->page_at++;
	}
	return NULL;
}

static bool send_backlog(struct relay *r)
{
	if (r->page_stream == NULL || r->page_stream->parked_until_ms > relay_now(r))
		return false;
	const struct outbox_reading *reading = page_next(r);
	if (reading == NULL)
		return false;
	struct stream *stream = r->page_stream;
	uint64_t owner = (uint64_t)(uintptr_t)stream;
	uint64_t limit = delivery_next_flight(&r->delivery, owner, reading->seq);
	uint64_t first = reading->seq;
	uint8_t clock = reading->clock;
	uint32_t count = 0;
	size_t len = 0;
	while (r->page_at < r->page->n) {
		reading = &r->page->readings[r->page_at];
		if (reading->seq != first + count || reading->clock != clock ||
			reading->seq >= limit || count == (uint32_t)r->config->batch_size ||
			!dp_intervals_contains(&stream->stored, reading->seq) ||
			!add_to_batch(r, stream, &len, reading->json, reading->len,
				reading->boottime_ns))
			break;
		count++;
		r->page_at++;
	}
	return send_batch(r, stream, DELIVERY_BACKLOG, first, count, clock, len);
}

/*
 * A sampler has closed its stream and nothing is left that could carry the news: it
 * is said until the centre has answered.
 */
static void send_low(struct relay *r, struct stream *stream)
{
	if (!stream->low_due || stream->n_live > 0 || stream->spilling.n > 0 ||
		stream->stored.n > 0 || relay_now(r) < stream->low_at_ms)
		return;
	uint64_t low = stream_low(stream);
	if (publish_batch(r, stream, low, 0, DP_CLOCK_SYNCED, 0, 0) != 0)
		return;
	stream->low_wait_ms =
		stream->low_wait_ms == 0 ? LOW_FIRST_MS : 2 * stream->low_wait_ms;
	if (stream->low_wait_ms > LOW_LIMIT_MS)
		stream->low_wait_ms = LOW_LIMIT_MS;
	stream->low_at_ms =
		relay_now(r) + dp_jitter_ms(&r->delivery.random, stream->low_wait_ms);
}

/* The answer to a message that only carried a `low`; whatever it is, it was heard. */
static bool is_low_answer(struct relay *r, const struct dp_bus_message *message)
{
	size_t prefix = strlen(LOW_PREFIX);
	struct dp_stream_id id;
	if (message->correlation_len != prefix + DP_STREAM_HEX ||
		memcmp(message->correlation, LOW_PREFIX, prefix) != 0 ||
		dp_hex_decode((const char *)message->correlation + prefix, DP_STREAM_HEX,
			id.bytes, DP_STREAM_BYTES) != 0)
		return false;
	struct stream *stream = streams_find(&r->streams, &id);
	/* Not when it was not sent: more may be held again by now. */
	if (stream == NULL || stream->low_wait_ms == 0) {
		r->strange_answers++;
		return true;
	}
	stream->low_due = false;
	stream->low_wait_ms = 0;
	return true;
}

void uplink_send(struct relay *r)
{
	if (!dp_bus_connected(r->upstream) || relay_now(r) < r->refused_until_ms)
		return;
	for (struct stream *s = r->streams.first; s != NULL; s = s->next) {
		if (s->parked_until_ms > relay_now(r) || stream_waits(s))
			continue;
		/* With 0 the disk comes first: they go out from the outbox. */
		while (r->config->spill_after_ms > 0 &&
			delivery_may_send(&r->delivery, DELIVERY_LIVE) && send_live(r, s))
			;
		send_low(r, s);
	}
	while (delivery_may_send(&r->delivery, DELIVERY_BACKLOG) && send_backlog(r))
		;
}

/* ---- answers in ---- */

static struct stream *owner_of(const struct flight *flight)
{
	return (struct stream *)(uintptr_t)flight->owner;
}

static void give_back(struct relay *r, const struct flight *flight)
{
	stream_unsend(owner_of(flight), flight->first, flight->count);
	forget_page_of(r, owner_of(flight));
}

static void park(struct relay *r, struct stream *stream, const char *reason)
{
	if (stream->park_ms == 0) {
		char hex[DP_STREAM_HEX + 1];
		dp_hex_encode(stream->id.bytes, DP_STREAM_BYTES, hex);
		dp_log(DP_LOG_WARN, "the centre does not take a stream now; it is kept",
			"stream=%s node=%s reason=\"%s\"", hex, stream->node, reason);
		stream->park_ms = PARK_FIRST_MS;
	} else if (stream->parked_until_ms <= relay_now(r)) {
		stream->park_ms *= 2;
		if (stream->park_ms > PARK_LIMIT_MS)
			stream->park_ms = PARK_LIMIT_MS;
	}
	stream->parked_until_ms =
		relay_now(r) + dp_jitter_ms(&r->delivery.random, stream->park_ms);
}

/* A silence is over when the last message that it swallowed has been answered or sent. */
static void note_answer(struct relay *r)
{
	if (!r->silent || relay_now(r) < r->silent_until_ms)
		return;
	dp_log(DP_LOG_INFO, "the centre answers again", NULL);
	r->silent = false;
}

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct relay *r = data;
	struct stream *stream = streams_find(&r->streams, &range->stream);
	/* Only what was sent can have been answered. */
	if (stream == NULL || range->first + range->count > stream->sent_end) {
		r->strange_answers++;
		return;
	}
	uint64_t owner = (uint64_t)(uintptr_t)stream;
	refusal_over(r);
	if (range->kind == DP_ACK_LATER) {
		r->later++;
		delivery_answer(&r->delivery, owner, range->first, range->count);
		stream_unsend(stream, range->first, range->count);
		forget_page_of(r, stream);
		park(r, stream, range->reason);
		return;
	}
	if (range->kind == DP_ACK_REJECTED) {
		r->rejected += range->count;
		dp_log(DP_LOG_WARN,
			"the centre could not decode readings; they are dead letters there",
			"node=%s first=%" PRIu64 " count=%" PRIu64 " reason=\"%s\"",
			stream->node, range->first, range->count, range->reason);
	} else {
		r->stored += range->count;
		stream->park_ms = 0;
		note_answer(r);
	}
	delivery_answer(&r->delivery, owner, range->first, range->count);
	streams_must(stream_answer(stream, range->first, range->count));
}

/* The message being answered, for an answer that is about it as a whole. */
struct answer {
	struct relay *r;
	const struct dp_bus_message *message;
};

static void on_answer_range(void *data, const struct dp_ack_range *range)
{
	on_range(((struct answer *)data)->r, range);
}

static void on_answer_error(void *data, const char *reason)
{
	struct answer *answer = data;
	struct relay *r = answer->r;
	const struct dp_bus_message *message = answer->message;
	char text[24];
	uint64_t number;
	struct flight flight;
	size_t len = message->correlation_len;
	if (len == 0 || len >= sizeof(text)) {
		r->strange_answers++;
		return;
	}
	memcpy(text, message->correlation, len);
	text[len] = '\0';
	if (dp_parse_u64(text, &number) != 0 ||
		!delivery_take(&r->delivery, number, &flight)) {
		r->strange_answers++;
		return;
	}
	dp_log(DP_LOG_ERROR, "the centre could not read a batch; it is a dead letter there",
		"first=%" PRIu64 " count=%" PRIu32 " reason=\"%s\"", flight.first,
		flight.count, reason);
	r->rejected += flight.count;
	streams_must(stream_answer(owner_of(&flight), flight.first, flight.count));
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct relay *r = data;
	if (commands_take(r, message) || recall_take(r, message) ||
		strncmp(message->topic, "ack/", 4) != 0)
		return;
	if (is_low_answer(r, message))
		return;
	struct answer answer = {r, message};
	int err = dp_ack_decode(
		message->payload, message->len, on_answer_range, on_answer_error, &answer);
	if (err == -ENOMEM)
		dp_log_out_of_memory("an answer");
	if (err != 0)
		r->strange_answers++;
}

static void on_connect(void *data)
{
	struct relay *r = data;
	const struct dp_bus_message online = {.topic = r->status_topic,
		.payload = "online",
		.len = strlen("online"),
		.qos = 1,
		.retain = true};
	int err = dp_bus_subscribe(r->upstream, r->ack_filter);
	if (err == 0)
		err = dp_bus_publish(r->upstream, &online);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot subscribe", "error=\"%s\"", strerror(-err));
	commands_subscribe(r);
	recall_start(r);
	last_send_all(r);
}

static void on_disconnect(void *data)
{
	struct relay *r = data;
	struct flight flight;
	while (delivery_reset(&r->delivery, &flight))
		;
	for (struct stream *s = r->streams.first; s != NULL; s = s->next) {
		stream_unsend_all(s);
		s->low_at_ms = 0;
	}
	/* What refused may be another broker now, or the same with other rules. */
	r->refused_until_ms = 0;
	forget_page(r);
}

void uplink_open(struct relay *r)
{
	snprintf(r->client_upstream, sizeof(r->client_upstream), "dewpoint-%s",
		r->config->node_name);
	snprintf(r->status_topic, sizeof(r->status_topic), "status/%s",
		r->config->node_name);
	/* Of any node: the outbox may hold readings from before the node was renamed. */
	snprintf(r->ack_filter, sizeof(r->ack_filter), "ack/+/%s", r->queue.instance);
	const struct dp_bus_options options = {
		.url = r->config->upstream_url,
		.ca_file = r->config->service.tls_ca_file,
		.client_id = r->client_upstream,
		.clean_start = false,
		.session_expiry_s = SESSION_EXPIRY_S,
		.will_topic = r->status_topic,
		.will_payload = "offline",
		.data = r,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
		.on_refused = refusal_by_puback,
	};
	if (dp_bus_open(&r->upstream, &r->service->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
}

void uplink_expire(struct relay *r)
{
	struct flight flight;
	unsigned n = 0;
	while (delivery_expire(&r->delivery, relay_now(r), &flight)) {
		give_back(r, &flight);
		n++;
	}
	if (n == 0)
		return;
	if (!r->silent)
		dp_log(DP_LOG_WARN,
			"the centre does not answer, sending again until it does",
			"batches=%u", n);
	r->silent = true;
	r->silent_until_ms = relay_now(r) + r->delivery.timeout_ms;
}

int64_t uplink_deadline(const struct relay *r)
{
	int64_t due = delivery_deadline(&r->delivery);
	if (r->page_retry_ms > relay_now(r) && r->page_retry_ms < due)
		due = r->page_retry_ms;
	if (r->refused_until_ms > relay_now(r) && r->refused_until_ms < due)
		due = r->refused_until_ms;
	for (const struct stream *s = r->streams.first; s != NULL; s = s->next) {
		if (s->parked_until_ms > relay_now(r) && s->parked_until_ms < due)
			due = s->parked_until_ms;
		if (s->low_due && s->low_at_ms > relay_now(r) && s->low_at_ms < due)
			due = s->low_at_ms;
	}
	return due;
}
