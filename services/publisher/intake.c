#include "intake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "log.h"
#include "number.h"
#include "version.h"

#define ACK_RANGES 64
#define BOOTS_MAX 1024 /* with readings that have no time */
#define CLOCK_EVERY_MS 1000

static int64_t now_ms(const struct intake *in)
{
	return (int64_t)uv_now(in->options.loop);
}

void intake_init(struct intake *in, const struct intake_options *options)
{
	*in = (struct intake){.options = *options};
	int err = dp_clock_parse_trust(options->config->clock_trust, &in->trust);
	if (err == 0)
		err = dp_parse_duration_ms(
			options->config->clock_wait_max, &in->clock_wait_ms);
	assert(err == 0); /* they were checked when they were read */
	(void)err;
}

/* ---- readings in ---- */

/* The centre commits each of its readings at once, and what others have sent with it. */
static void note_hasty(const struct intake *in, struct stream *stream)
{
	const struct publisher_config *config = in->options.config;
	char hex[DP_STREAM_HEX + 1];
	if (config->answer_ms + config->send_every_ms == 0 ||
		!stream_is_hasty(stream, now_ms(in)))
		return;
	dp_hex_encode(stream->id.bytes, DP_STREAM_BYTES, hex);
	dp_log(DP_LOG_WARN,
		"a sampler wants each answer at once, so little is gathered here and at "
		"the "
		"centre: is it of an older version, or are RING_SIZE or WINDOW "
		"small?",
		"stream=%s", hex);
}

static struct stream *stream_of(struct intake *in, const struct dp_identity *identity)
{
	const struct dp_stream_id *id = &identity->stream;
	struct stream *stream = streams_find(in->options.streams, id);
	if (stream == NULL) {
		streams_forget_idle(in->options.streams, now_ms(in), in->options.in_use,
			in->options.data);
		stream =
			streams_add(in->options.streams, id, in->options.config->node_name);
	}
	stream_hear(stream, now_ms(in), identity->wait_ms == 0);
	note_hasty(in, stream);
	return stream;
}

/* ---- readings without a time ---- */

static struct dating_now clock_now(const struct intake *in)
{
	const struct dp_clock *clock = in->options.clock;
	return (struct dating_now){
		.boot_id = clock->boot_id,
		.boot_ns = clock->boot_ns(clock->data),
		.wall_us = clock->wall_us(clock->data),
		.mark = dp_clock_mark(clock, in->trust, dp_build_epoch),
		.late = in->waiting_since_ms != 0 &&
			now_ms(in) - in->waiting_since_ms >= in->clock_wait_ms,
	};
}

/*
 * The sampler had no plausible clock. What is known by now of that boot dates the
 * reading; else it is kept as it is.
 */
static int date_reading(struct intake *in, struct stream *stream,
	const struct dp_identity *identity, struct dp_reading *reading,
	struct live_reading *live)
{
	if (in->options.streams->dating.n >= BOOTS_MAX && stream->boot == NULL)
		return -EAGAIN;
	struct boot *boot = dating_boot(&in->options.streams->dating, identity->boot);
	if (boot == NULL)
		return -ENOMEM;
	const struct dating_now now = clock_now(in);
	if (stream->boot != NULL && stream->boot != boot) {
		if (strcmp(boot->id, now.boot_id) != 0)
			return -EBADMSG;
		/* No sampler outlives a boot: the outbox had it wrong. */
		dp_log(DP_LOG_ERROR,
			"the outbox is damaged: it names another boot for a sampler's "
			"readings than the sampler",
			"boot=%s", stream->boot->id);
	}
	stream_hear_boot(stream, boot, 0);
	dating_arrived(boot, identity->boottime_ns, &now);
	if (now.mark != DP_CLOCK_NONE && boot->mark >= DP_CLOCK_GUESSED)
		dating_decide(&in->options.streams->dating, &now);
	reading->has_time = boot->mark != DP_CLOCK_NONE;
	live->clock = (uint8_t)boot->mark;
	if (reading->has_time) {
		reading->ts_us = dating_time(boot, identity->boottime_ns);
		return 0;
	}
	live->boottime_ns = identity->boottime_ns;
	dating_note(boot, identity->boottime_ns);
	stream_hear_boot(stream, boot, identity->first);
	return 0;
}

void intake_date(struct intake *in)
{
	if (!streams_wait(in->options.streams)) {
		in->waiting_since_ms = 0;
		return;
	}
	if (in->waiting_since_ms == 0) {
		dp_log(DP_LOG_WARN,
			"the clock is not plausible; readings are kept until it is",
			"wait_max=%s", in->options.config->clock_wait_max);
		in->waiting_since_ms = now_ms(in);
		in->clock_due_ms = 0;
	}
	if (now_ms(in) < in->clock_due_ms)
		return;
	in->clock_due_ms = now_ms(in) + CLOCK_EVERY_MS;
	const struct dating_now now = clock_now(in);
	dating_decide(&in->options.streams->dating, &now);
	if (streams_wait(in->options.streams))
		return;
	dp_log(DP_LOG_INFO, "readings that had no time have one now", "clock=%s",
		now.mark == DP_CLOCK_NONE ? "guessed" : "plausible");
	in->waiting_since_ms = 0;
}

int64_t intake_deadline(const struct intake *in)
{
	return in->waiting_since_ms != 0 ? in->clock_due_ms : INT64_MAX;
}

/* ---- readings in ---- */

/* Write down one well-formed reading, whatever came. */
static int write_down(struct intake *in, struct stream *stream,
	const struct dp_identity *identity, struct dp_reading *reading,
	struct live_reading *live, const char **why)
{
	char json[DP_READING_JSON];
	live->clock = (uint8_t)identity->clock;
	if (identity->clock == DP_CLOCK_NONE) {
		int err = date_reading(in, stream, identity, reading, live);
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
	in->options.seen(in->options.data, identity, reading);
	return 0;
}

static int decode_one(struct intake *in, struct stream *stream,
	const struct dp_bus_message *message, const struct dp_identity *identity,
	struct live_reading *live, const char **why)
{
	struct dp_senml *pack;
	struct dp_reading reading;
	const struct dp_clock *clock = in->options.clock;
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
		err = write_down(in, stream, identity, &reading, live, why);
	dp_senml_close(pack);
	return err;
}

/* One that is not taken now: it can be shown all the same. */
static void look(struct intake *in, const struct dp_bus_message *message,
	const struct dp_identity *identity)
{
	struct dp_senml *pack;
	struct dp_reading reading;
	char json[DP_READING_JSON];
	const struct dp_clock *clock = in->options.clock;
	const char *why;
	if (dp_senml_open(&pack, message->payload, message->len, DP_SENML_NATIVE,
		    clock->wall_us(clock->data), &why) != 0)
		return;
	/* What may not be sent may not be shown. */
	if (dp_senml_next(pack, &reading, &why) == 1 &&
		dp_reading_encode(&reading, json, sizeof(json)) > 0)
		in->options.seen(in->options.data, identity, &reading);
	dp_senml_close(pack);
}

void intake_waiting(struct intake *in, const struct dp_bus_message *message)
{
	struct dp_identity identity;
	const char *why;
	if (dp_identity_decode(
		    message->properties, message->n_properties, &identity, &why) == 0 &&
		identity.count == 1)
		look(in, message, &identity);
}

static void refuse(struct intake *in, const struct dp_bus_message *message, const char *why)
{
	in->refused++;
	dp_log(DP_LOG_WARN, "a message on the node's broker cannot be read",
		"topic=\"%s\" reason=\"%s\"", message->topic, why);
}

static void accept_reading(struct intake *in, struct stream *stream,
	const struct dp_bus_message *message, const struct dp_identity *identity)
{
	const char *why = "";
	struct live_reading live = {.seq = identity->first, .arrived_ms = now_ms(in)};
	if (dp_intervals_contains(&stream->answered, identity->first)) {
		in->duplicates++;
		streams_must(stream_accept_again(stream, identity->first));
		return;
	}
	if (stream_holds(stream, identity->first)) {
		in->duplicates++;
		/* The sampler asks again: perhaps our answer was lost. */
		if (dp_intervals_contains(&stream->stored, identity->first))
			streams_must(stream_accept_again(stream, identity->first));
		return;
	}
	/* Not taken is not lost: the sampler keeps it and asks again. */
	const struct streams_live all = streams_live(in->options.streams);
	if (all.n >= STREAMS_LIVE_MAX || all.bytes >= STREAMS_LIVE_BYTES) {
		look(in, message, identity);
		return;
	}
	int err = decode_one(in, stream, message, identity, &live, &why);
	if (err == -EAGAIN)
		return;
	if (err == -ENOMEM)
		dp_log_out_of_memory("a reading");
	if (err != 0) {
		refuse(in, message, why);
		/* It will never be readable: the sampler need not keep it. */
		streams_must(stream_accept_again(stream, identity->first));
		return;
	}
	streams_must(stream_add_live(stream, &live));
}

void intake_reading(struct intake *in, const struct dp_bus_message *message)
{
	struct dp_identity identity;
	const char *why;
	if (dp_identity_decode(
		    message->properties, message->n_properties, &identity, &why) != 0) {
		refuse(in, message, why);
		return;
	}
	if (identity.count > 1) {
		refuse(in, message, "a message on the node's broker carries one reading");
		return;
	}
	in->received++;
	struct stream *stream = stream_of(in, &identity);
	if (identity.low > stream->heard_low)
		stream_hear_low(stream, identity.low, identity.count == 0);
	if (identity.count == 1)
		accept_reading(in, stream, message, &identity);
}

/* ---- acceptance out ---- */

static void publish_accepted(struct intake *in, struct dp_bus *bus, struct stream *stream)
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
		int err = dp_bus_publish(bus, &message);
		free(json);
		/* While the local broker is away nobody hears; the sampler will ask again.
		 */
		if (err != 0 && err != -ENOTCONN)
			dp_log(DP_LOG_ERROR, "cannot answer the sampler", "error=\"%s\"",
				strerror(-err));
		uint64_t last = ranges[n - 1].first + ranges[n - 1].count - 1;
		for (size_t i = 0; i < n; i++)
			in->accepted += ranges[i].count;
		streams_must(stream_accept_told(stream, last));
	}
}

void intake_answer(struct intake *in, struct dp_bus *bus)
{
	for (struct stream *s = in->options.streams->first; s != NULL; s = s->next)
		publish_accepted(in, bus, s);
}
