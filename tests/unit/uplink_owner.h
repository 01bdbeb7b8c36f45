/* An uplink with the test as its owner, as its broker and as the centre. */
#ifndef TEST_UPLINK_OWNER_H
#define TEST_UPLINK_OWNER_H

#include "ack.h"
#include "fake_bus.h"
#include "publisher/uplink/uplink.h"
#include "publisher_parts.h"

struct owner {
	uv_loop_t loop;
	struct publisher_config config;
	struct streams streams;
	struct stream *stream;
	struct uplink uplink;
	unsigned connected;
	char others[64]; /* topics of messages that are no answers */
};

static struct owner the_owner;

static inline void connected(void *data)
{
	struct owner *owner = data;
	/* The centre knows already that the node is online. */
	assert_int_equal(fake_bus.n, 1);
	assert_string_equal(fake_bus.sent[0].topic, "status/pi");
	assert_string_equal(fake_bus.sent[0].payload, "online");
	fake_bus_clear();
	owner->connected++;
}

static inline void other(void *data, const struct dp_bus_message *message)
{
	struct owner *owner = data;
	snprintf(owner->others, sizeof(owner->others), "%s", message->topic);
}

/* Connected, with one stream. */
static inline struct owner *open_uplink(const struct publisher_config *config)
{
	struct owner *owner = &the_owner;
	memset(owner, 0, sizeof(*owner));
	require(uv_loop_init(&owner->loop) == 0);
	owner->config = *config;
	owner->stream = add_stream(&owner->streams, 1);
	owner->stream->heard_low = 1;
	fake_bus = (struct dp_bus){.up = false};
	const struct uplink_options options = {.loop = &owner->loop,
		.config = &owner->config,
		.streams = &owner->streams,
		.data = owner,
		.connected = connected,
		.message = other};
	uplink_init(&owner->uplink, &options);
	assert_false(uplink_connected(&owner->uplink));
	assert_int_equal(uplink_deadline(&owner->uplink), INT64_MAX);
	uplink_open(&owner->uplink, "0123456789abcdef");
	fake_bus_set_up(true);
	return owner;
}

static inline void close_uplink(struct owner *owner)
{
	uplink_close(&owner->uplink);
	fake_bus_clear();
	uplink_finish(&owner->uplink);
	streams_clear(&owner->streams);
	assert_int_equal(uv_loop_close(&owner->loop), 0);
}

/* The centre's answer about that range; with `takes` it takes deflated batches. */
static inline void answer_taking(struct owner *owner, enum dp_ack_kind kind, uint64_t first,
	uint64_t count, bool takes)
{
	const struct dp_ack_range range = {kind, owner->stream->id, first, count,
		kind == DP_ACK_STORED ? NULL : "busy"};
	char *json;
	size_t len;
	assert_int_equal(
		dp_ack_encode_takes(&range, 1,
			takes ? DP_ENCODING_DEFLATE : DP_ENCODING_NONE, &json, &len),
		0);
	const struct dp_bus_message message = {
		.topic = "ack/pi/0123456789abcdef", .payload = json, .len = len};
	fake_bus.options.on_message(fake_bus.options.data, &message);
	free(json);
}

/* Readings in the outbox, and the page of them that a queue would give. */
static struct outbox_reading page_readings[10];
static char page_json[] = "{\"bn\":\"s/\",\"bt\":1900000000,\"n\":\"t\",\"v\":1}";

static inline struct outbox_page page_of(uint64_t first, size_t n)
{
	for (size_t i = 0; i < n; i++)
		page_readings[i] = (struct outbox_reading){.seq = first + i,
			.json = page_json,
			.len = (uint32_t)strlen(page_json)};
	return (struct outbox_page){.readings = page_readings, .n = n};
}

#endif
