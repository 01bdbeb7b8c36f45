/* Messages as ingest gets them from the broker, and its copies of them. */
#ifndef TEST_INCOMING_MESSAGE_H
#define TEST_INCOMING_MESSAGE_H

#include "ingest/incoming.h"
#include "support.h"

#define HEX "000102030405060708090a0b0c0d0e0f"
#define PREFIX "/data"

static const struct dp_property properties[] = {
	{"v", "1"}, {"stream", HEX}, {"first", "7"}, {"count", "3"}};

/* A batch with all that one has. */
static inline struct dp_bus_message native_message(void)
{
	return (struct dp_bus_message){
		.topic = "/data/orangepi0/batch",
		.payload = "[1,2]",
		.len = 5,
		.response_topic = "ack/orangepi0/0123",
		.correlation = "42",
		.correlation_len = 2,
		.properties = properties,
		.n_properties = LENGTH(properties),
	};
}

static struct condenser condenser = {.most = 4096};

static inline struct incoming *copy(const struct dp_bus_message *message, bool plain)
{
	struct incoming *in =
		incoming_copy(message, plain, PREFIX, 1234, DP_CLOCK_UNSYNCED, &condenser);
	assert_non_null(in);
	return in;
}

#endif
