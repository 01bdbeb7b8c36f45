#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "log.h"

#define ANSWER_RANGES 256

static void publish_answer(struct dp_bus *bus, const struct result *about, const char *json,
	size_t len, bool one_message)
{
	const struct dp_bus_message message = {
		.topic = about->about->response_topic,
		.payload = json,
		.len = len,
		.qos = 0, /* what is not heard comes again anyway */
		.content_type = "application/json",
		.correlation = about->about->correlation,
		.correlation_len = one_message ? about->about->correlation_len : 0,
	};
	int err = dp_bus_publish(bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot answer a batch", "topic=%s error=\"%s\"",
			about->about->response_topic, strerror(-err));
}

static void answer_whole(struct dp_bus *bus, const struct result *result)
{
	char *json;
	size_t len;
	if (dp_ack_encode_error(result->range.reason, &json, &len) != 0)
		dp_log_out_of_memory("an answer");
	publish_answer(bus, result, json, len, true);
	free(json);
}

/* The message had no readings. Its publisher stops repeating it. */
static void answer_heard(struct dp_bus *bus, const struct result *result)
{
	publish_answer(bus, result, "{}", 2, true);
}

static bool follows(const struct dp_ack_range *last, const struct dp_ack_range *range)
{
	return last->kind == range->kind && last->reason == range->reason &&
	       last->first + last->count == range->first &&
	       memcmp(&last->stream, &range->stream, sizeof(last->stream)) == 0;
}

/* One answer for the results [i, end): of one publisher, in the order they came. */
static size_t answer_ranges(struct dp_bus *bus, const struct results *results, size_t i)
{
	const struct result *first = &results->at[i];
	struct dp_ack_range ranges[ANSWER_RANGES];
	size_t n = 0;
	bool one_message = true;
	for (; i < results->n && n < ANSWER_RANGES; i++) {
		const struct result *result = &results->at[i];
		if (result->whole || result->heard ||
			strcmp(result->about->response_topic,
				first->about->response_topic) != 0)
			break;
		one_message = one_message && result->about == first->about;
		if (n > 0 && follows(&ranges[n - 1], &result->range))
			ranges[n - 1].count += result->range.count;
		else
			ranges[n++] = result->range;
	}
	char *json;
	size_t len;
	if (dp_ack_encode(ranges, n, &json, &len) != 0)
		dp_log_out_of_memory("an answer");
	publish_answer(bus, first, json, len, one_message);
	free(json);
	return i;
}

void answer_all(struct dp_bus *bus, struct results *results)
{
	size_t i = 0;
	while (i < results->n) {
		if (results->at[i].whole)
			answer_whole(bus, &results->at[i++]);
		else if (results->at[i].heard)
			answer_heard(bus, &results->at[i++]);
		else
			i = answer_ranges(bus, results, i);
	}
	results->n = 0;
}
