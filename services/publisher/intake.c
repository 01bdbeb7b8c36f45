#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "log.h"
#include "number.h"
#include "relay.h"
#include "version.h"

#define STREAMS_KEPT 64
#define STREAM_IDLE_MS 600000
#define ACK_RANGES 64
#define CLOCK_EVERY_MS 1000

/* ---- readings in ---- */

static bool in_use(void *data, const struct stream *stream)
{
	const struct relay *r = data;
	return queue_busy(&r->queue) || sender_uses(&r->uplink.sender, stream);
}

static struct stream *stream_of(struct relay *r, const struct dp_stream_id *id)
{
	struct stream *stream = streams_find(&r->streams, id);
	if (stream == NULL) {
		streams_forget_idle(&r->streams, relay_now(r), in_use, r);
		stream = streams_add(&r->streams, id, r->config->node_name);
	}
	stream->heard_ms = relay_now(r);
	return stream;
}

/* ---- readings without a time ---- */

static struct dating_now clock_now(const struct relay *r)
{
	const struct dp_clock *clock = &r->service->clock;
	return (struct dating_now){
		.boot_id = clock->boot_id,
		.boot_ns = clock->boot_ns(clock->data),
		.wall_us = clock->wall_us(clock->data),
		.mark = dp_clock_mark(clock, r->trust, dp_build_epoch),
		.late = r->waiting_since_ms != 0 &&
			relay_now(r) - r->waiting_since_ms >= r->clock_wait_ms,
	};
}

/*
 * The sampler had no plausible clock. What is known by now of that boot dates the
 * reading; else it is held as it is.
 */
static int date_reading(struct relay *r, struct stream *stream,
	const struct dp_identity *identity, struct dp_reading *reading,
	struct live_reading *live)
{
	if (r->streams.dating.n >= RELAY_BOOTS && stream->boot == NULL)
		return -EAGAIN;
	struct boot *boot = dating_boot(&r->streams.dating, identity->boot);
	if (boot == NULL)
		return -ENOMEM;
	const struct dating_now now = clock_now(r);
	if (stream->boot != NULL && stream->boot != boot) {
		if (strcmp(boot->id, now.boot_id) != 0)
			return -EBADMSG;
		/* No sampler outlives a boot: the outbox had it wrong. */
		dp_log(DP_LOG_ERROR,
			"the outbox is damaged: it names another boot for a sampler's "
			"readings than the sampler",
			"boot=%s", stream->boot->id);
	}
	stream->boot = boot;
	dating_arrived(boot, identity->boottime_ns, &now);
	if (now.mark != DP_CLOCK_NONE && boot->mark >= DP_CLOCK_GUESSED)
		dating_decide(&r->streams.dating, &now);
	reading->has_time = boot->mark != DP_CLOCK_NONE;
	live->clock = (uint8_t)boot->mark;
	if (reading->has_time) {
		reading->ts_us = dating_time(boot, identity->boottime_ns);
		return 0;
	}
	live->boottime_ns = identity->boottime_ns;
	dating_note(boot, identity->boottime_ns);
	if (identity->first > stream->undated_to)
		stream->undated_to = identity->first;
	return 0;
}

void intake_date(struct relay *r)
{
	if (!streams_wait(&r->streams)) {
		r->waiting_since_ms = 0;
		return;
	}
	if (r->waiting_since_ms == 0) {
		dp_log(DP_LOG_WARN,
			"the clock is not plausible; readings are kept until it is",
			"wait_max=%s", r->config->clock_wait_max);
		r->waiting_since_ms = relay_now(r);
		r->clock_due_ms = 0;
	}
	if (relay_now(r) < r->clock_due_ms)
		return;
	r->clock_due_ms = relay_now(r) + CLOCK_EVERY_MS;
	const struct dating_now now = clock_now(r);
	dating_decide(&r->streams.dating, &now);
	if (streams_wait(&r->streams))
		return;
	dp_log(DP_LOG_INFO, "readings that had no time have one now", "clock=%s",
		now.mark == DP_CLOCK_NONE ? "guessed" : "plausible");
	r->waiting_since_ms = 0;
}

int64_t intake_deadline(const struct relay *r)
{
	return r->waiting_since_ms != 0 ? r->clock_due_ms : INT64_MAX;
}

/* ---- readings in ---- */

/* Write down one well-formed reading, whatever came. */
static int write_down(struct relay *r, struct stream *stream,
	const struct dp_identity *identity, struct dp_reading *reading,
	struct live_reading *live, const char **why)
{
	char json[DP_READING_JSON];
	live->clock = (uint8_t)identity->clock;
	if (identity->clock == DP_CLOCK_NONE) {
		int err = date_reading(r, stream, identity, reading, live);
		*why = "a stream has readings of two boots";
		if (err != 0)
			return err;
	} else if (!reading->has_time) {
		*why = "the reading has no time";
		return -EBADMSG;
	}
	int n = dp_reading_encode(reading, json, sizeof(json));
	if (n < 0) {
		*why = "the reading has a name or a time that is not allowed";
		return -EBADMSG;
	}
	live->len = (uint32_t)n;
	live->json = malloc((size_t)n);
	if (live->json == NULL)
		return -ENOMEM;
	memcpy(live->json, json, live->len);
	last_note(r, identity, reading);
	return 0;
}

static int decode_one(struct relay *r, struct stream *stream,
	const struct dp_bus_message *message, const struct dp_identity *identity,
	struct live_reading *live, const char **why)
{
	struct dp_senml *pack;
	struct dp_reading reading;
	const struct dp_clock *clock = &r->service->clock;
	int err = dp_senml_open(&pack, message->payload, message->len, DP_SENML_NATIVE,
		clock->wall_us(clock->data), why);
	if (err != 0)
		return err;
	err = dp_senml_next(pack, &reading, why);
	if (err == 0)
		*why = "the payload holds no reading";
	else if (err == 1 && dp_senml_count(pack) != 1)
		*why = "the payload holds more than one reading";
	if (err == 0 || (err == 1 && dp_senml_count(pack) != 1))
		err = -EBADMSG;
	if (err == 1)
		err = write_down(r, stream, identity, &reading, live, why);
	dp_senml_close(pack);
	return err;
}

static void refuse(struct relay *r, const struct dp_bus_message *message, const char *why)
{
	r->refused++;
	dp_log(DP_LOG_WARN, "a message on the node's broker cannot be read",
		"topic=\"%s\" reason=\"%s\"", message->topic, why);
}

static void accept_reading(struct relay *r, struct stream *stream,
	const struct dp_bus_message *message, const struct dp_identity *identity)
{
	const char *why = "";
	struct live_reading live = {.seq = identity->first, .arrived_ms = relay_now(r)};
	if (dp_intervals_contains(&stream->answered, identity->first)) {
		r->duplicates++;
		streams_must(stream_accept_again(stream, identity->first));
		return;
	}
	if (stream_holds(stream, identity->first)) {
		r->duplicates++;
		/* The sampler asks again: perhaps our answer was lost. */
		if (dp_intervals_contains(&stream->stored, identity->first))
			streams_must(stream_accept_again(stream, identity->first));
		return;
	}
	/* Not taken is not lost: the sampler keeps it and asks again. */
	const struct streams_live all = streams_live(&r->streams);
	if (all.n >= STREAMS_LIVE_MAX || all.bytes >= STREAMS_LIVE_BYTES) {
		last_look(r, message, identity);
		return;
	}
	int err = decode_one(r, stream, message, identity, &live, &why);
	if (err == -EAGAIN)
		return;
	if (err == -ENOMEM)
		dp_log_out_of_memory("a reading");
	if (err != 0) {
		refuse(r, message, why);
		/* It will never be readable: the sampler need not keep it. */
		streams_must(stream_accept_again(stream, identity->first));
		return;
	}
	streams_must(stream_add_live(stream, &live));
}

void intake_reading(struct relay *r, const struct dp_bus_message *message)
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
		stream->low_at_ms = stream->low_wait_ms = 0;
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

void intake_answer(struct relay *r)
{
	for (struct stream *s = r->streams.first; s != NULL; s = s->next)
		publish_accepted(r, s);
}
