#include "uplink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "log.h"
#include "number.h"
#include "random.h"
#include "timer.h"
#include "topic.h"
#include "version.h"

#define READING_PREFIX "local/reading/"
#define RESEND_FIRST_MS 10000
#define RESEND_LIMIT_MS 60000
#define STOP_WAIT_MS 1000
#define SHOW_MS 1000
#define WITHIN_MAX_MS 3600000

static void on_resend(uv_timer_t *timer);

static void arm_resend(struct uplink *up)
{
	if (up->stopping)
		return;
	if (up->ring.in_flight > 0)
		timer_start(&up->resend, on_resend, up->resend_ms);
	else
		uv_timer_stop(&up->resend);
}

/* A publisher that answers in its time is not asked again. */
static uint64_t resend_first(const struct uplink *up)
{
	return RESEND_FIRST_MS + up->within_ms;
}

/*
 * How long an answer may take: as the publisher says, while there is room for what comes
 * meanwhile.
 */
static uint32_t wait_ms(struct uplink *up)
{
	const struct uplink_options *o = &up->options;
	int64_t room = o->window < o->ring_size ? o->window : o->ring_size;
	bool is_short = ring_is_short(&up->ring, (uint64_t)room);
	if (up->stopping || is_short)
		return 0;
	return up->within_ms < DP_WAIT_MAX_MS ? (uint32_t)up->within_ms : DP_WAIT_MAX_MS;
}

static int publish_item(struct uplink *up, const char *where, int qos,
	const struct ring_item *item, uint64_t seq)
{
	struct dp_identity identity = {
		.stream = up->stream,
		.first = seq,
		.count = 1,
		.low = up->ring.low,
		.clock = (enum dp_clock_mark)item->clock,
		.wait_ms = wait_ms(up),
		.boottime_ns = item->boottime_ns,
	};
	memcpy(identity.boot, up->options.clock->boot_id, sizeof(identity.boot));
	struct dp_identity_text text;
	dp_identity_encode(&identity, &text);
	char topic[DP_TOPIC_MAX];
	snprintf(topic, sizeof(topic), "local/%s/%s", where,
		up->options.names[item->sensor]);
	const struct dp_bus_message message = {
		.topic = topic,
		.payload = item->json,
		.len = item->len,
		.qos = qos,
		.content_type = DP_CONTENT_TYPE,
		.response_topic = up->ack_topic,
		.properties = text.properties,
		.n_properties = text.n,
	};
	return dp_bus_publish(up->bus, &message);
}

static void pump(struct uplink *up)
{
	bool idle = up->ring.in_flight == 0;
	while (dp_bus_connected(up->bus) &&
		up->ring.in_flight < (uint64_t)up->options.window) {
		uint64_t seq;
		const struct ring_item *item = ring_send(&up->ring, &seq);
		if (item == NULL)
			break;
		int err = publish_item(up, "reading", 1, item, seq);
		if (err == 0)
			continue;
		ring_unsend(&up->ring, seq);
		if (err != -ENOTCONN)
			dp_log(DP_LOG_ERROR, "cannot publish a reading", "error=\"%s\"",
				strerror(-err));
		break;
	}
	if (idle && up->ring.in_flight > 0)
		arm_resend(up);
}

static void on_resend(uv_timer_t *timer)
{
	struct uplink *up = timer->data;
	dp_log(DP_LOG_WARN, "the publisher does not answer, sending again",
		"readings=%llu after_ms=%llu", (unsigned long long)up->ring.in_flight,
		(unsigned long long)up->resend_ms);
	up->resent += up->ring.in_flight;
	up->resend_ms *= 2;
	if (up->resend_ms > RESEND_LIMIT_MS + up->within_ms)
		up->resend_ms = RESEND_LIMIT_MS + up->within_ms;
	ring_rewind(&up->ring);
	pump(up);
}

void uplink_connected(struct uplink *up)
{
	dp_bus_subscribe(up->bus, up->ack_topic);
	dp_bus_subscribe(up->bus, UPLINK_HELLO);
	pump(up);
}

void uplink_disconnected(struct uplink *up)
{
	ring_rewind(&up->ring);
	arm_resend(up);
}

void uplink_refused(struct uplink *up, const char *topic)
{
	if (strncmp(topic, READING_PREFIX, strlen(READING_PREFIX)) == 0)
		up->refused = true;
}

static void empty(struct uplink *up);

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct uplink *up = data;
	if (range->kind == DP_ACK_LATER ||
		memcmp(&range->stream, &up->stream, sizeof(up->stream)) != 0)
		return;
	uint64_t accepted = ring_accept(&up->ring, range->first, range->count);
	if (accepted == 0)
		return;
	up->accepted += accepted;
	up->refused = false;
	up->resend_ms = resend_first(up);
	ledger_range(&up->ledger, "accepted", range->first, range->count);
}

static void on_error(void *data, const char *reason)
{
	(void)data;
	dp_log(DP_LOG_WARN, "the publisher could not read a message", "reason=\"%s\"",
		reason);
}

static void take_answer(struct uplink *up, const struct dp_bus_message *message)
{
	uint64_t low = up->ring.low;
	int err = dp_ack_decode(message->payload, message->len, on_range, on_error, up);
	if (err != 0)
		dp_log(DP_LOG_WARN, "malformed answer", "error=\"%s\"", strerror(-err));
	/* Answers to others do not help the oldest: its time goes on. */
	if (up->ring.low != low || up->ring.in_flight == 0)
		arm_resend(up);
}

void uplink_publisher(struct uplink *up, const struct dp_bus_message *message)
{
	uint64_t within_ms = 0;
	/* Its last will says nothing of it. */
	if (message->len != strlen("online") ||
		memcmp(message->payload, "online", message->len) != 0)
		return;
	for (size_t i = 0; i < message->n_properties; i++) {
		if (strcmp(message->properties[i].name, "within") == 0 &&
			dp_parse_u64(message->properties[i].value, &within_ms) == 0 &&
			within_ms > WITHIN_MAX_MS)
			within_ms = WITHIN_MAX_MS;
	}
	if (within_ms == up->within_ms)
		return;
	up->within_ms = within_ms;
	up->resend_ms = resend_first(up);
	arm_resend(up);
}

bool uplink_message(struct uplink *up, const struct dp_bus_message *message)
{
	if (strcmp(message->topic, UPLINK_HELLO) == 0)
		ring_rewind(&up->ring);
	else if (strcmp(message->topic, up->ack_topic) == 0)
		take_answer(up, message);
	else
		return false;
	pump(up);
	if (up->stopping && up->ring.low == up->ring.next)
		empty(up);
	return true;
}

/* The newest reading has to wait, perhaps for hours: people are to see it all the same. */
static void show_ahead(struct uplink *up, const struct ring_item *item)
{
	uint64_t now_ms = uv_now(up->options.loop);
	uint64_t *shown_ms = &up->shown_ms[item->sensor];
	if (up->ring.cursor == up->ring.next || now_ms - *shown_ms < SHOW_MS ||
		!dp_bus_connected(up->bus))
		return;
	*shown_ms = now_ms;
	publish_item(up, "last", 0, item, up->ring.next - 1);
}

static struct dp_clock_now look_at_clock(struct uplink *up)
{
	bool doubted = up->watch.doubted;
	const struct dp_clock_now now = dp_clock_look(
		&up->watch, up->options.clock, up->options.trust, dp_build_epoch);
	if (up->watch.doubted && !doubted)
		dp_log(DP_LOG_WARN,
			"the clock was set while it was synchronised; readings are marked "
			"unsynced until it is back, or has stayed so for ten minutes",
			"by_s=%lld",
			(long long)(up->watch.doubt_us - up->watch.boot_us) / 1000000);
	if (doubted && !up->watch.doubted)
		dp_log(DP_LOG_INFO, "the clock is believed again", NULL);
	return now;
}

int uplink_keep(
	struct uplink *up, unsigned sensor, const struct dp_value *values, unsigned n)
{
	const struct dp_clock_now now = look_at_clock(up);
	struct dp_reading reading = {
		.sensor = dp_slice(up->options.names[sensor]),
		.has_time = now.mark != DP_CLOCK_NONE,
		.n = n,
	};
	if (reading.has_time)
		reading.ts_us = now.wall_us;
	memcpy(reading.values, values, n * sizeof(*values));

	char json[DP_READING_JSON];
	json[0] = '[';
	int len = dp_reading_encode(&reading, json + 1, sizeof(json) - 2);
	if (len < 0)
		return len;
	json[len + 1] = ']';
	struct ring_item item = {
		.json = malloc((size_t)len + 2),
		.len = (uint32_t)len + 2,
		.sensor = (uint16_t)sensor,
		.clock = (uint8_t)now.mark,
		.boottime_ns = now.boot_ns,
	};
	if (item.json == NULL)
		dp_log_out_of_memory("a reading");
	memcpy(item.json, json, item.len);
	ledger_reading(&up->ledger, up->ring.next, &reading);
	up->readings++;
	uint64_t oldest = up->ring.low;
	if (ring_push(&up->ring, &item) > 0) {
		if (up->dropped++ == 0)
			dp_log(DP_LOG_ERROR,
				"the ring is full, the oldest readings are dropped",
				"ring_size=%lld", (long long)up->options.ring_size);
		ledger_range(&up->ledger, "dropped", oldest, 1);
	}
	pump(up);
	show_ahead(up, &item);
	return 0;
}

/* The last word of a stream: nothing below `low` will ever come. */
static void say_goodbye(struct uplink *up)
{
	const struct dp_identity identity = {
		.stream = up->stream, .first = up->ring.next, .low = up->ring.low};
	struct dp_identity_text text;
	char topic[DP_TOPIC_MAX];
	dp_identity_encode(&identity, &text);
	snprintf(topic, sizeof(topic), READING_PREFIX "%s", up->options.names[0]);
	const struct dp_bus_message message = {
		.topic = topic,
		.payload = "",
		.qos = 1,
		.content_type = DP_CONTENT_TYPE,
		.response_topic = up->ack_topic,
		.properties = text.properties,
		.n_properties = text.n,
	};
	int err = dp_bus_publish(up->bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot close the stream", "error=\"%s\"",
			strerror(-err));
}

/* What nobody has accepted goes with the process: the centre may close the gap. */
static void give_up(struct uplink *up)
{
	uint64_t first, count, left = 0;
	while ((count = ring_unaccepted(&up->ring, 0, &first)) > 0) {
		ledger_range(&up->ledger, "unaccepted", first, count);
		ring_accept(&up->ring, first, count);
		left += count;
	}
	if (left > 0)
		dp_log(DP_LOG_WARN, "stopping with readings that nobody has accepted",
			"readings=%llu", (unsigned long long)left);
}

static void empty(struct uplink *up)
{
	give_up(up);
	/* A stream that never began has nothing to close. */
	if (up->ring.next > 1)
		say_goodbye(up);
	uv_close((uv_handle_t *)&up->resend, NULL);
	up->options.emptied(up->options.data);
}

static void on_stop_timeout(uv_timer_t *timer)
{
	empty(timer->data);
}

int uplink_init(struct uplink *up, const struct uplink_options *options)
{
	*up = (struct uplink){.options = *options, .resend_ms = RESEND_FIRST_MS};
	dp_random(up->stream.bytes, sizeof(up->stream.bytes));
	dp_hex_encode(up->stream.bytes, DP_STREAM_BYTES, up->stream_hex);
	snprintf(up->ack_topic, sizeof(up->ack_topic), "local/ack/%s", up->stream_hex);
	if (ring_init(&up->ring, (size_t)options->ring_size) != 0)
		dp_log_out_of_memory("the ring");
	return ledger_open(&up->ledger, options->ledger, up->stream_hex);
}

void uplink_start(struct uplink *up, struct dp_bus *bus)
{
	up->bus = bus;
	timer_init(up->options.loop, &up->resend, up);
}

/* What the publisher may still wait with is wanted now: its answer to one brings all. */
static void ask_at_once(struct uplink *up)
{
	const struct ring_item *oldest = ring_oldest(&up->ring);
	if (up->within_ms == 0 || oldest == NULL)
		return;
	int err = publish_item(up, "reading", 1, oldest, up->ring.low);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot ask for an answer", "error=\"%s\"",
			strerror(-err));
}

void uplink_stop(struct uplink *up)
{
	up->stopping = true;
	ask_at_once(up);
	if (up->ring.low == up->ring.next || !dp_bus_connected(up->bus))
		empty(up);
	else
		timer_start(&up->resend, on_stop_timeout, STOP_WAIT_MS);
}

void uplink_finish(struct uplink *up)
{
	ledger_close(&up->ledger);
	ring_finish(&up->ring);
}
