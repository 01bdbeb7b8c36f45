#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "log.h"

#define ANSWER_RANGES 256
#define CONTENT_TYPE "application/json"
#define PROPERTY 3 /* bytes of a property beside its value */
#define HEADER 6   /* bytes of a small message beside topic, properties and payload */

/* @param json  NULL: all of the message is stored, and it knows that an empty answer says
 * so
 */
static void publish_answer(struct dp_bus *bus, const struct incoming *about,
	const char *json, size_t len, bool one_message)
{
	const struct dp_bus_message message = {
		.topic = about->response_topic,
		.payload = json,
		.len = len,
		.qos = 0, /* what is not heard comes again anyway */
		.content_type = json != NULL ? CONTENT_TYPE : NULL,
		.correlation = about->correlation,
		.correlation_len = one_message ? about->correlation_len : 0,
	};
	int err = dp_bus_publish(bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot answer a batch", "topic=%s error=\"%s\"",
			about->response_topic, strerror(-err));
}

static void answer_whole(struct dp_bus *bus, const struct result *result)
{
	char *json;
	size_t len;
	if (dp_ack_encode_error(result->range.reason, &json, &len) != 0)
		dp_log_out_of_memory("an answer");
	publish_answer(bus, result->about, json, len, true);
	free(json);
}

static bool follows(const struct dp_ack_range *last, const struct dp_ack_range *range)
{
	return last->kind == range->kind && last->reason == range->reason &&
	       last->first + last->count == range->first &&
	       memcmp(&last->stream, &range->stream, sizeof(last->stream)) == 0;
}

/* Whether all that is to be said of its message is that it is stored, to who knows that an
 * empty answer says so. */
static bool says_all(const struct result *result)
{
	const struct incoming *about = result->about;
	const struct dp_identity *id = &about->identity;
	return id->encoding != DP_ENCODING_NONE && id->offer == DP_ENCODING_NONE &&
	       about->correlation_len > 0 && result->range.kind == DP_ACK_STORED &&
	       result->range.first == id->first && result->range.count == id->count;
}

/* What is to be said to one publisher. */
struct answer {
	struct dp_ack_range ranges[ANSWER_RANGES];
	size_t n;
	bool one_message;
	enum dp_encoding takes;
	bool may_be_empty;  /* an empty answer to each message would do */
	size_t empty_bytes; /* of all those */
};

static void add_result(struct answer *answer, const struct result *result)
{
	const struct incoming *about = result->about;
	if (answer->n > 0 && follows(&answer->ranges[answer->n - 1], &result->range))
		answer->ranges[answer->n - 1].count += result->range.count;
	else
		answer->ranges[answer->n++] = result->range;
	if (about->identity.offer != DP_ENCODING_NONE)
		answer->takes = about->identity.offer;
	answer->may_be_empty = answer->may_be_empty && says_all(result);
	answer->empty_bytes +=
		HEADER + strlen(about->response_topic) + PROPERTY + about->correlation_len;
}

/* Bytes of the answer with that payload. */
static size_t json_bytes(
	const struct answer *answer, const struct incoming *about, size_t len)
{
	return HEADER + strlen(about->response_topic) + PROPERTY + strlen(CONTENT_TYPE) +
	       (answer->one_message ? PROPERTY + about->correlation_len : 0) + len;
}

/* One answer for the results [i, end), or an empty one each: of one publisher, in the order
 * they came. @return end */
static size_t answer_ranges(struct dp_bus *bus, const struct results *results, size_t i)
{
	const struct incoming *first = results->at[i].about;
	struct answer answer = {.one_message = true, .may_be_empty = true};
	size_t begin = i;
	for (; i < results->n && answer.n < ANSWER_RANGES; i++) {
		const struct result *result = &results->at[i];
		if (result->whole || result->heard ||
			strcmp(result->about->response_topic, first->response_topic) != 0)
			break;
		answer.one_message = answer.one_message && result->about == first;
		add_result(&answer, result);
	}
	char *json;
	size_t len;
	if (dp_ack_encode_takes(answer.ranges, answer.n, answer.takes, &json, &len) != 0)
		dp_log_out_of_memory("an answer");
	if (answer.may_be_empty && answer.empty_bytes < json_bytes(&answer, first, len)) {
		for (; begin < i; begin++)
			publish_answer(bus, results->at[begin].about, NULL, 0, true);
	} else {
		publish_answer(bus, first, json, len, answer.one_message);
	}
	free(json);
	return i;
}

void answer_all(struct dp_bus *bus, struct results *results)
{
	size_t i = 0;
	while (i < results->n) {
		if (results->at[i].whole)
			answer_whole(bus, &results->at[i++]);
		else if (results->at[i].heard) /* its publisher stops repeating it */
			publish_answer(bus, results->at[i++].about, "{}", 2, true);
		else
			i = answer_ranges(bus, results, i);
	}
	results->n = 0;
}
