/*
 * Readings as a message to the centre, and which message an answer is about: its
 * correlation data in both directions.
 */
#ifndef PUBLISHER_MESSAGE_H
#define PUBLISHER_MESSAGE_H

#include "../streams/stream.h"
#include "bus.h"
#include "encoding.h"

struct message {
	const struct stream *stream;
	uint64_t first;
	uint32_t count; /**< 0: the stream's last word, its `low` */
	enum dp_clock_mark clock;
	uint32_t wait_ms; /**< how long the answer may take */
	bool metered;	  /**< each byte costs */
	uint64_t number;  /**< which it is; without readings the stream says it */
	struct payload payload;
};

/** @param instance  whose answers are ours @return as dp_bus_publish() */
int message_publish(const struct message *message, struct dp_bus *bus, const char *prefix,
	const char *instance);

/** The number in an answer's correlation data. @return false: it has none */
bool message_number(const void *correlation, size_t len, uint64_t *number);

/** The stream whose last word an answer is about. @return false: something else */
bool message_last_word(const void *correlation, size_t len, struct dp_stream_id *id);

#endif
