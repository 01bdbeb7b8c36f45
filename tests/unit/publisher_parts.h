/* What the tests of the publisher's parts share: settings, a clock, streams with readings.
 */
#ifndef TEST_PUBLISHER_PARTS_H
#define TEST_PUBLISHER_PARTS_H

#include "publisher/settings.h"
#include "publisher/streams/streams.h"
#include "support.h"

#define NOW_US INT64_C(1900000000000000) /* a plausible time */
#define UP_NS INT64_C(5000000000)

static bool clock_set = true;

static inline int64_t test_wall_us(void *data)
{
	(void)data;
	return clock_set ? NOW_US : UP_NS / 1000;
}

static inline int64_t test_boot_ns(void *data)
{
	(void)data;
	return UP_NS;
}

static inline int test_synchronised(void *data)
{
	(void)data;
	return clock_set;
}

static const struct dp_clock test_clock = {.wall_us = test_wall_us,
	.boot_ns = test_boot_ns,
	.synchronised = test_synchronised,
	.boot_id = "11111111-2222-3333-4444-555555555555"};

static inline struct publisher_config test_config(const char *outbox)
{
	return (struct publisher_config){.node_name = "pi",
		.mqtt_url = "mqtt://local",
		.upstream_url = "mqtt://centre",
		.topic_prefix = "/data",
		.outbox = outbox,
		.outbox_full = "refuse",
		.outbox_max_bytes = INT64_C(1) << 30,
		.clock_trust = "auto",
		.clock_wait_max = "1h",
		.spill_after_ms = 2000,
		.batch_size = 500};
}

static inline struct dp_stream_id stream_id(uint8_t n)
{
	return (struct dp_stream_id){{n}};
}

static inline struct stream *add_stream(struct streams *streams, uint8_t n)
{
	const struct dp_stream_id id = stream_id(n);
	return streams_add(streams, &id, "pi");
}

/* Readings of these numbers in memory, as intake writes them. */
static inline void add_live(
	struct stream *stream, uint64_t first, uint64_t last, int64_t arrived_ms)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		struct live_reading reading = {.seq = seq, .arrived_ms = arrived_ms};
		reading.json = malloc(96);
		if (reading.json == NULL)
			abort();
		reading.len = (uint32_t)snprintf(reading.json, 96,
			"{\"bn\":\"s/\",\"bt\":1900000000,\"n\":\"t\",\"v\":%d}", (int)seq);
		assert_int_equal(stream_add_live(stream, &reading), 0);
	}
}

static inline void assert_set(const struct dp_intervals *set, const char *expected)
{
	char text[256] = "";
	for (size_t i = 0; i < set->n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d-%d",
			i > 0 ? " " : "", (int)set->at[i].first, (int)set->at[i].last);
	assert_string_equal(text, expected);
}

#endif
