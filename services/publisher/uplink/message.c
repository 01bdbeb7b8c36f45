#include "message.h"

#include <stdio.h>
#include <string.h>

#include "number.h"
#include "topic.h"

#define LAST_WORD "low-" /* then the stream */

/*
 * The centre's answer is the acknowledgement; a broker's own tells why it refuses a
 * message. Where each byte costs that is left to a message whose answer is wanted at once:
 * the first ones of a connection, and those that are sent again after a loss. And to last
 * words, which are rare: nothing else may ever be sent under their name.
 */
static int qos(const struct message *message)
{
	bool last_word = message->count == 0;
	return message->metered && message->wait_ms > 0 && !last_word ? 0 : 1;
}

int message_publish(const struct message *message, struct dp_bus *bus, const char *prefix,
	const char *instance)
{
	const struct payload *payload = &message->payload;
	const struct dp_identity identity = {.stream = message->stream->id,
		.first = message->first,
		.count = message->count,
		.low = stream_low(message->stream),
		.clock = message->clock,
		.wait_ms = message->wait_ms,
		.encoding = payload->encoding,
		.offer = payload->offer};
	struct dp_identity_text text;
	char topic[DP_TOPIC_MAX], answer[DP_TOPIC_MAX];
	char last_word[sizeof(LAST_WORD) + DP_STREAM_HEX];
	bool numbered = message->count > 0, encoded = payload->encoding != DP_ENCODING_NONE;
	dp_identity_encode(&identity, &text);
	snprintf(topic, sizeof(topic), "%s/%s/batch", prefix, message->stream->node);
	snprintf(answer, sizeof(answer), "ack/%s/%s", message->stream->node, instance);
	snprintf(last_word, sizeof(last_word), LAST_WORD "%s", text.stream);
	const struct dp_bus_message out = {
		.topic = topic,
		.payload = payload->at,
		.len = payload->len,
		.qos = qos(message),
		.often = message->metered,
		.content_type = encoded ? NULL : DP_CONTENT_TYPE,
		.response_topic = answer,
		.correlation = numbered ? (const void *)&message->number : last_word,
		.correlation_len = numbered ? sizeof(message->number) : strlen(last_word),
		.properties = text.properties,
		.n_properties = text.n,
	};
	return dp_bus_publish(bus, &out);
}

bool message_number(const void *correlation, size_t len, uint64_t *number)
{
	if (len != sizeof(*number))
		return false;
	memcpy(number, correlation, sizeof(*number));
	return true;
}

bool message_last_word(const void *correlation, size_t len, struct dp_stream_id *id)
{
	size_t prefix = strlen(LAST_WORD);
	return len == prefix + DP_STREAM_HEX &&
	       memcmp(correlation, LAST_WORD, prefix) == 0 &&
	       dp_hex_decode((const char *)correlation + prefix, DP_STREAM_HEX, id->bytes,
		       DP_STREAM_BYTES) == 0;
}
