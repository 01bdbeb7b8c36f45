#include "publisher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "log.h"
#include "number.h"
#include "random.h"
#include "relay.h"
#include "version.h"

#define RESEND_MS 3000
#define RESEND_LIMIT_MS 60000
#define STREAMS_KEPT 64
#define STREAM_IDLE_MS 600000
#define ACK_RANGES 64

int64_t relay_now(const struct relay *r)
{
	return (int64_t)uv_now(&r->service->loop);
}

void relay_settle(struct relay *r, struct stream *stream, uint64_t first, uint64_t count)
{
	size_t bytes;
	int gone = stream_settle(stream, first, count, &bytes);
	if (gone < 0)
		dp_log_out_of_memory("an answer");
	r->live -= (size_t)gone;
	r->live_bytes -= bytes;
}

/* ---- readings in ---- */

/* Streams of samplers that ended long ago make room; they hold nothing. */
static void forget_idle_streams(struct relay *r)
{
	size_t n = 0;
	for (struct stream *s = r->streams; s != NULL; s = s->next)
		n++;
	struct stream **at = &r->streams;
	while (n > STREAMS_KEPT && *at != NULL) {
		struct stream *s = *at;
		uint64_t owner = (uint64_t)(uintptr_t)s;
		if (!stream_empty(s) || s->low_due || r->turn.running ||
			s == r->page_stream ||
			relay_now(r) - s->heard_ms < STREAM_IDLE_MS ||
			dp_delivery_next_flight(&r->delivery, owner, 0) != UINT64_MAX) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		stream_destroy(s);
		n--;
	}
}

static void append_stream(struct relay *r, struct stream *stream)
{
	struct stream **at = &r->streams;
	while (*at != NULL)
		at = &(*at)->next;
	*at = stream;
}

static struct stream *stream_of(struct relay *r, const struct dp_stream_id *id)
{
	struct stream *stream = stream_find(r->streams, id);
	if (stream == NULL) {
		forget_idle_streams(r);
		stream = stream_create(id, r->config->node_name);
		if (stream == NULL)
			dp_log_out_of_memory("a stream");
		append_stream(r, stream);
	}
	stream->heard_ms = relay_now(r);
	return stream;
}

/*
 * A reading whose sampler had no plausible clock. This board's clock is ours too:
 * once it is plausible, the time since boot says when the reading was taken.
 */
static int date_reading(struct relay *r, const struct dp_identity *identity,
	struct dp_reading *reading, enum dp_clock_mark *mark)
{
	const struct dp_clock *clock = &r->service->clock;
	*mark = dp_clock_mark(clock, DP_CLOCK_TRUST_AUTO, dp_build_epoch);
	if (strcmp(identity->boot, clock->boot_id) != 0 || *mark == DP_CLOCK_NONE)
		return -EAGAIN;
	int64_t age_us = (clock->boot_ns(clock->data) - identity->boottime_ns) / 1000;
	reading->ts_us = clock->wall_us(clock->data) - age_us;
	reading->has_time = true;
	return 0;
}

/* Decode, so that what leaves is one well-formed reading whatever came. */
static int decode_one(struct relay *r, const struct dp_bus_message *message,
	const struct dp_identity *identity, struct held *held, const char **why)
{
	struct dp_senml *pack;
	struct dp_reading reading, extra;
	const struct dp_clock *clock = &r->service->clock;
	enum dp_clock_mark mark = identity->clock;
	int err = dp_senml_open(&pack, message->payload, message->len, DP_SENML_NATIVE,
		clock->wall_us(clock->data), why);
	if (err != 0)
		return err;
	err = dp_senml_next(pack, &reading, why);
	if (err == 0) {
		*why = "the payload holds no reading";
		err = -EBADMSG;
	}
	if (err == 1)
		err = 0;
	if (err == 0 && mark == DP_CLOCK_NONE)
		err = date_reading(r, identity, &reading, &mark);
	char json[DP_READING_JSON];
	int n = err == 0 ? dp_reading_encode(&reading, json, sizeof(json)) : 0;
	if (err == 0 && (n < 0 || !reading.has_time)) {
		*why = "the reading has no time or a name that is not allowed";
		err = -EBADMSG;
	}
	if (err == 0) {
		held->clock = (uint8_t)mark;
		held->len = (uint32_t)n;
		held->json = malloc((size_t)n);
		if (held->json == NULL)
			dp_log_out_of_memory("a reading");
		memcpy(held->json, json, (size_t)n);
		last_note(r, &reading);
		if (dp_senml_next(pack, &extra, why) != 0) {
			*why = "the payload holds more than one reading";
			free(held->json);
			err = -EBADMSG;
		}
	}
	dp_senml_close(pack);
	return err;
}

static void refuse(struct relay *r, const struct dp_bus_message *message, const char *why)
{
	r->refused++;
	dp_log(DP_LOG_WARN, "a message on the node's broker cannot be read",
		"topic=\"%s\" reason=\"%s\"", message->topic, why);
}

/* The sampler need not keep this one. */
static void accept_again(struct stream *stream, uint64_t seq)
{
	if (dp_intervals_add(&stream->accepted, seq, seq) != 0)
		dp_log_out_of_memory("an answer");
}

static void accept_reading(struct relay *r, struct stream *stream,
	const struct dp_bus_message *message, const struct dp_identity *identity)
{
	const char *why = "";
	struct held held = {.seq = identity->first, .arrived_ms = relay_now(r)};
	if (dp_intervals_contains(&stream->answered, identity->first)) {
		r->duplicates++;
		accept_again(stream, identity->first);
		return;
	}
	if (stream_holds(stream, identity->first)) {
		r->duplicates++;
		/* The sampler asks again: perhaps our answer was lost. */
		if (dp_intervals_contains(&stream->stored, identity->first))
			accept_again(stream, identity->first);
		return;
	}
	/* Not taken is not lost: the sampler keeps it and asks again. */
	if (r->live >= RELAY_LIVE_MAX || r->live_bytes >= RELAY_LIVE_BYTES)
		return;
	int err = decode_one(r, message, identity, &held, &why);
	if (err == -EAGAIN)
		return;
	if (err == -ENOMEM)
		dp_log_out_of_memory("a reading");
	if (err != 0) {
		refuse(r, message, why);
		/* It will never be readable: the sampler need not keep it. */
		accept_again(stream, identity->first);
		return;
	}
	if (stream_hold(stream, &held) != 0)
		dp_log_out_of_memory("a reading");
	r->live++;
	r->live_bytes += held.len;
}

static void on_reading(struct relay *r, const struct dp_bus_message *message)
{
	struct dp_identity identity;
	const char *why;
	if (dp_identity_decode(
		    message->properties, message->n_properties, &identity, &why) != 0) {
		refuse(r, message, why);
		return;
	}
	if (identity.count > 1) {
		refuse(r, message, "a message on the node's broker carries one reading");
		return;
	}
	r->received++;
	struct stream *stream = stream_of(r, &identity.stream);
	if (identity.low > stream->heard_low) {
		stream->heard_low = identity.low;
		stream->low_due = identity.count == 0;
	}
	if (identity.count == 1)
		accept_reading(r, stream, message, &identity);
}

/* ---- acceptance out ---- */

static void publish_accepted(struct relay *r, struct stream *stream)
{
	struct dp_ack_range ranges[ACK_RANGES];
	while (stream->accepted.n > 0) {
		size_t n = 0;
		for (; n < ACK_RANGES && n < stream->accepted.n; n++) {
			const struct dp_interval *at = &stream->accepted.at[n];
			ranges[n] = (struct dp_ack_range){.kind = DP_ACK_STORED,
				.stream = stream->id,
				.first = at->first,
				.count = at->last - at->first + 1};
		}
		char *json, topic[64], hex[DP_STREAM_HEX + 1];
		size_t len;
		if (dp_ack_encode(ranges, n, &json, &len) != 0)
			dp_log_out_of_memory("an answer");
		dp_hex_encode(stream->id.bytes, DP_STREAM_BYTES, hex);
		snprintf(topic, sizeof(topic), "local/ack/%s", hex);
		const struct dp_bus_message message = {.topic = topic,
			.payload = json,
			.len = len,
			.qos = 1,
			.content_type = "application/json"};
		int err = dp_bus_publish(r->local, &message);
		free(json);
		/* While the local broker is away nobody hears; the sampler will ask again.
		 */
		if (err != 0 && err != -ENOTCONN)
			dp_log(DP_LOG_ERROR, "cannot answer the sampler", "error=\"%s\"",
				strerror(-err));
		uint64_t last = ranges[n - 1].first + ranges[n - 1].count - 1;
		for (size_t i = 0; i < n; i++)
			r->accepted += ranges[i].count;
		if (dp_intervals_remove(&stream->accepted, 0, last) != 0)
			dp_log_out_of_memory("an answer");
	}
}

/* ---- the buses ---- */

static void on_local_connect(void *data)
{
	struct relay *r = data;
	const struct dp_bus_message hello = {
		.topic = "local/hello", .payload = "", .qos = 1};
	int err = dp_bus_subscribe(r->local, "local/reading/+");
	if (err == 0)
		err = dp_bus_subscribe(r->local, "local/stats/+/+");
	if (err == 0)
		err = dp_bus_publish(r->local, &hello);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot subscribe", "error=\"%s\"", strerror(-err));
}

static void on_local_disconnect(void *data)
{
	(void)data; /* the samplers keep what was not accepted */
}

static void relay_stats(struct relay *r, const struct dp_bus_message *message)
{
	char topic[DP_TOPIC_MAX];
	int n = snprintf(topic, sizeof(topic), "stats/%s/%s", r->config->node_name,
		message->topic + strlen("local/stats/"));
	if (n < 0 || (size_t)n >= sizeof(topic))
		return;
	struct dp_bus_message up = *message;
	up.topic = topic;
	up.qos = 0;
	up.response_topic = NULL;
	up.correlation_len = 0;
	int err = dp_bus_publish(r->upstream, &up);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot relay statistics", "error=\"%s\"",
			strerror(-err));
}

static void on_local_message(void *data, const struct dp_bus_message *message)
{
	struct relay *r = data;
	if (strncmp(message->topic, "local/reading/", 14) == 0)
		on_reading(r, message);
	else if (strncmp(message->topic, "local/stats/", 12) == 0)
		relay_stats(r, message);
}

static void open_buses(struct relay *r)
{
	snprintf(r->client_local, sizeof(r->client_local), "dewpoint-publisher-%s",
		outbox_instance(r->outbox));
	const struct dp_bus_options local = {
		.url = r->config->mqtt_url,
		.ca_file = r->config->service.tls_ca_file,
		.client_id = r->client_local,
		.clean_start = true,
		.data = r,
		.on_connect = on_local_connect,
		.on_disconnect = on_local_disconnect,
		.on_message = on_local_message,
	};
	if (dp_bus_open(&r->local, &r->service->loop, &local) != 0)
		dp_log_out_of_memory("the bus");
	uplink_open(r);
	snprintf(r->stats_topic, sizeof(r->stats_topic), "stats/%s/publisher/%s",
		r->config->node_name, r->config->service.instance);
	const struct dp_stat table[] = {{"received", &r->received},
		{"accepted", &r->accepted}, {"duplicates", &r->duplicates},
		{"refused", &r->refused}, {"in_memory", &r->live_count},
		{"in_outbox", &r->outbox_count}, {"spilled", &r->spilled},
		{"batches", &r->batches}, {"stored", &r->stored},
		{"rejected", &r->rejected}, {"later", &r->later}, {"resent", &r->resent},
		{"strange_answers", &r->strange_answers}};
	_Static_assert(sizeof(table) <= sizeof(r->table), "RELAY_STATS is too small");
	memcpy(r->table, table, sizeof(table));
	dp_stats_start(&r->stats, &r->service->loop, r->upstream, r->stats_topic, r->table,
		sizeof(table) / sizeof(table[0]), r->config->service.stats_period_s);
}

/* ---- once an iteration ---- */

static void finish_stop(struct relay *r);

static void count_held(struct relay *r)
{
	r->live_count = r->live;
	r->resent = r->delivery.resent;
	r->outbox_count = 0;
	for (struct stream *s = r->streams; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->stored.n; i++)
			r->outbox_count += s->stored.at[i].last - s->stored.at[i].first + 1;
	}
}

static void on_timer(uv_timer_t *timer)
{
	(void)timer; /* waking up is all; relay_work() follows */
}

static void arm_timer(struct relay *r)
{
	int64_t due = spill_deadline(r);
	/* Until the outbox is open the work queue fills in the streams. */
	if (r->upstream != NULL && uplink_deadline(r) < due)
		due = uplink_deadline(r);
	if (last_deadline(r) < due)
		due = last_deadline(r);
	if (due == INT64_MAX) {
		uv_timer_stop(&r->timer);
		return;
	}
	int64_t wait = due - relay_now(r);
	uv_timer_start(&r->timer, on_timer, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void relay_work(uv_prepare_t *prepare)
{
	struct relay *r = prepare->data;
	if (!r->opened)
		spill_open(r);
	else if (r->local == NULL && !r->stopping)
		open_buses(r);
	if (r->opened && !r->stopped) {
		uplink_expire(r);
		if (!r->stopping && r->upstream != NULL) {
			uplink_send(r);
			last_send(r);
		}
		spill_work(r);
		if (r->local != NULL) {
			for (struct stream *s = r->streams; s != NULL; s = s->next)
				publish_accepted(r, s);
		}
		count_held(r);
	}
	if (r->stopping && !r->turn.running &&
		(!r->opened || r->live == 0 || r->spill_error != 0))
		finish_stop(r);
	if (!r->stopped)
		arm_timer(r);
}

/* ---- start and stop ---- */

struct relay *publisher_start(
	struct dp_service *service, const struct publisher_config *config)
{
	struct relay *r = calloc(1, sizeof(*r));
	uint64_t seed;
	if (r != NULL)
		r->batch = malloc(RELAY_BATCH_BYTES + DP_READING_JSON);
	if (r == NULL || r->batch == NULL)
		dp_log_out_of_memory("the publisher");
	r->service = service;
	r->config = config;
	r->lock = -1;
	r->batch_limit = RELAY_BATCH_BYTES;
	dp_random(&seed, sizeof(seed));
	dp_delivery_init(&r->delivery, r->flights, RELAY_WINDOW, RELAY_RESERVE, RESEND_MS,
		RESEND_LIMIT_MS, seed);
	uv_timer_init(&service->loop, &r->timer);
	r->timer.data = r;
	uv_prepare_init(&service->loop, &r->prepare);
	r->prepare.data = r;
	uv_prepare_start(&r->prepare, relay_work);
	return r;
}

/* Everything that was in memory is in the outbox now, or cannot be saved. */
static void finish_stop(struct relay *r)
{
	if (r->stopped)
		return;
	r->stopped = true;
	if (r->live > 0)
		dp_log(DP_LOG_ERROR, "stopping with readings only the samplers still hold",
			"readings=%zu", r->live);
	if (r->upstream != NULL) {
		const struct dp_bus_message offline = {.topic = r->status_topic,
			.payload = "offline",
			.len = strlen("offline"),
			.qos = 1,
			.retain = true};
		int err = dp_bus_publish(r->upstream, &offline);
		if (err != 0 && err != -ENOTCONN)
			dp_log(DP_LOG_WARN, "cannot say that the node goes offline",
				"error=\"%s\"", strerror(-err));
		dp_stats_stop(&r->stats);
		dp_bus_close(r->upstream, NULL);
		dp_bus_close(r->local, NULL);
	}
	uv_close((uv_handle_t *)&r->prepare, NULL);
	uv_close((uv_handle_t *)&r->timer, NULL);
	dp_service_safe(r->service);
}

void publisher_stop(void *data)
{
	struct relay *r = data;
	r->stopping = true;
	r->flush = true;
	if (r->local != NULL)
		dp_bus_pause(r->local, true);
	/* relay_work() finishes it, at the latest when the outbox has answered. */
	uv_timer_start(&r->timer, on_timer, 0, 0);
}

const char *publisher_health(void *data)
{
	struct relay *r = data;
	if (r->local == NULL)
		return "waiting for the outbox; another publisher may hold it";
	if (!dp_bus_connected(r->local))
		return dp_bus_trouble(r->local);
	if (r->spill_error != 0)
		return "the outbox cannot be written; its volume may be full";
	return dp_bus_connected(r->upstream) ? NULL : dp_bus_trouble(r->upstream);
}

void publisher_destroy(struct relay *r)
{
	while (r->streams != NULL) {
		struct stream *next = r->streams->next;
		stream_destroy(r->streams);
		r->streams = next;
	}
	spill_close(r);
	free(r->batch);
	free(r);
}
