/* Messages as ingest gets them, stored in a real file, and what is answered. */
#ifndef TEST_INGEST_STORE_H
#define TEST_INGEST_STORE_H

#include <glob.h>

#include "ingest/sqlite/sqlite_store.h"
#include "store.h"
#include "support.h"

#define NOW_US INT64_C(1800000000000000)
#define TS_S INT64_C(1732300000) /* of reading 0; reading n is n seconds later */
#define HOUR_US INT64_C(3600000000)
#define MESSAGE_MAX 262144

static size_t message_max = MESSAGE_MAX; /* of the store that was opened last */

struct store {
	struct sqlite_store *sqlite;
	char path[PATH_SIZE], url[PATH_SIZE + 16];
	char answers[4096]; /* of the last commit, see describe() */
	struct dp_lease fence;
};

static inline void store_open_with(
	void **state, struct store *store, const struct sink_options *options)
{
	char path[PATH_SIZE];
	path_in(state, "broker.db", path);
	memcpy(store->path, path, sizeof(path));
	snprintf(store->url, sizeof(store->url), "sqlite://%s", path);
	struct sink_options all = *options;
	all.url = store->url;
	if (all.max_message_bytes == 0)
		all.max_message_bytes = MESSAGE_MAX;
	message_max = all.max_message_bytes;
	if (all.dead_letters_max == 0)
		all.dead_letters_max = 1000;
	store->fence =
		(struct dp_lease){.name = "plain", .holder = "us", .ttl_us = HOUR_US};
	assert_int_equal(sqlite_store_open(&store->sqlite, &all, NOW_US), 0);
}

/* It prints what it stores, which is caught. */
static inline void store_open_printing(
	void **state, struct store *store, struct capture *capture)
{
	const struct sink_options options = {.print = true};
	store_open_with(state, store, &options);
	capture_begin(capture, STDOUT_FILENO);
}

static inline void store_open(void **state, struct store *store)
{
	const struct sink_options options = {.print = false};
	store_open_with(state, store, &options);
}

/* What a native batch says of itself; the rest is filled in. */
struct batch {
	const char *node; /* "n" */
	uint8_t stream;	  /* the last byte of its id */
	uint64_t first;
	uint32_t count;
	uint64_t low;
	enum dp_clock_mark clock;
	const char *payload; /* NULL: readings of climate, see payload_of() */
	size_t len;	     /* 0: of the string */
	const char *version; /* "1" */
	bool silent;	     /* without a response topic */
	bool encoded;	     /* the payload is said to be deflated */
};

/* In seconds. Numbers near the powers of two, too large to be counted in seconds, differ.
 */
static inline int64_t payload_time(uint64_t n)
{
	if (n >> 32 == 0)
		return TS_S + (int64_t)n;
	return TS_S + (INT64_C(1) << 32) + INT64_C(1000) * (64 - __builtin_clzll(n)) +
	       (int64_t)(n & 0xff);
}

/*
 * Reading n has temperature n / 10 and humidity 50. Streams with even numbers write their
 * times as our publishers do, the others as others may. @return bytes
 */
static inline size_t payload_of(const struct batch *batch, char *text, size_t size)
{
	size_t len = 0;
	for (uint64_t n = batch->first; n < batch->first + batch->count; n++) {
		len += (size_t)snprintf(text + len, size - len,
			"%c{\"bn\":\"climate/"
			"\",\"bt\":%lld%s,\"n\":\"temperature\",\"u\":\"Cel\","
			"\"v\":%.1f},{\"n\":\"humidity\",\"u\":\"%%RH\",\"v\":50}",
			n == batch->first ? '[' : ',', (long long)payload_time(n),
			batch->stream % 2 == 0 ? ".000000" : "", (double)n / 10);
		assert_true(len < size - 2);
	}
	if (batch->count > 0)
		text[len++] = ']';
	return len;
}

static inline struct incoming *batch_message(const struct batch *batch)
{
	static char text[4 << 20];
	char topic[128], response[128];
	const char *node = batch->node != NULL ? batch->node : "n";
	const struct dp_identity identity = {
		.stream = {{[DP_STREAM_BYTES - 1] = batch->stream}},
		.first = batch->first,
		.count = batch->count,
		.low = batch->low,
		.clock = batch->clock,
		.encoding = batch->encoded ? DP_ENCODING_DEFLATE : DP_ENCODING_NONE};
	struct dp_identity_text properties;
	dp_identity_encode(&identity, &properties);
	if (batch->version != NULL)
		properties.properties[0].value = batch->version;
	snprintf(topic, sizeof(topic), "/data/%s/batch", node);
	snprintf(response, sizeof(response), "ack/%s/1", node);
	struct dp_bus_message message = {.topic = topic,
		.payload = batch->payload,
		.len = batch->len,
		.response_topic = batch->silent ? NULL : response,
		.properties = properties.properties,
		.n_properties = properties.n};
	if (batch->payload == NULL) {
		message.payload = text;
		message.len = payload_of(batch, text, sizeof(text));
	} else if (batch->len == 0) {
		message.len = strlen(batch->payload);
	}
	struct condenser condenser = {.most = message_max};
	struct incoming *in = incoming_copy(
		&message, false, "/data", NOW_US, DP_CLOCK_SYNCED, &condenser);
	condenser_finish(&condenser);
	assert_non_null(in);
	return in;
}

static inline struct incoming *plain_message_by(
	enum dp_clock_mark clock, const char *topic, const char *payload, size_t len)
{
	const struct dp_bus_message message = {
		.topic = topic, .payload = payload, .len = len};
	struct incoming *in = incoming_copy(&message, true, "/data", NOW_US, clock, NULL);
	assert_non_null(in);
	return in;
}

static inline struct incoming *plain_message(
	const char *topic, const char *payload, size_t len)
{
	return plain_message_by(DP_CLOCK_SYNCED, topic, payload, len);
}

/* `#0 stored 1+10; #1 later 4+2 (reason)`: message, what, first + count. */
static inline void describe(
	const struct results *results, const struct incoming *list, char *text, size_t size)
{
	static const char *const kinds[] = {"stored", "rejected", "later"};
	size_t len = 0;
	text[0] = '\0';
	for (size_t i = 0; i < results->n; i++) {
		const struct result *result = &results->at[i];
		int index = 0;
		for (const struct incoming *in = list; in != result->about; in = in->next) {
			assert_non_null(in);
			index++;
		}
		len += (size_t)snprintf(
			text + len, size - len, "%s#%d ", i > 0 ? "; " : "", index);
		if (result->whole)
			len += (size_t)snprintf(
				text + len, size - len, "error (%s)", result->range.reason);
		else if (result->heard)
			len += (size_t)snprintf(text + len, size - len, "heard");
		else
			len += (size_t)snprintf(text + len, size - len,
				"%s %llu+%llu%s%s%s", kinds[result->range.kind],
				(unsigned long long)result->range.first,
				(unsigned long long)result->range.count,
				result->range.reason != NULL ? " (" : "",
				result->range.reason != NULL ? result->range.reason : "",
				result->range.reason != NULL ? ")" : "");
		assert_true(len < size);
	}
}

/* Commit a list at a time, and free it. */
static inline int store_commit(struct store *store, struct incoming *list, int64_t now_us)
{
	struct results results = {.n = 0};
	int err = sqlite_store_commit(store->sqlite, list, &store->fence, &results, now_us);
	describe(&results, list, store->answers, sizeof(store->answers));
	free(results.at);
	incoming_free(list);
	return err;
}

/* Commit some batches in one transaction. @return what is answered */
static inline const char *store_batches(
	struct store *store, const struct batch *batches, size_t n)
{
	struct incoming *list = NULL, **end = &list;
	for (size_t i = 0; i < n; i++) {
		*end = batch_message(&batches[i]);
		end = &(*end)->next;
	}
	assert_int_equal(store_commit(store, list, NOW_US), 0);
	return store->answers;
}

static inline const char *store_batch(struct store *store, const struct batch *batch)
{
	return store_batches(store, batch, 1);
}

/* How many files were set aside. */
static inline size_t set_aside(const struct store *store)
{
	char pattern[PATH_SIZE + 16];
	glob_t found;
	snprintf(pattern, sizeof(pattern), "%s.corrupt-*", store->path);
	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	size_t n = found.gl_pathc;
	globfree(&found);
	return n;
}

/* `first-last` of the intervals of a stream. */
static inline void assert_intervals(
	const struct store *store, int stream, const char *expected)
{
	char sql[256];
	snprintf(sql, sizeof(sql),
		"SELECT first || '-' || last FROM stream_interval WHERE stream ="
		" (SELECT id FROM stream WHERE hex(stream) LIKE '%%%02X') ORDER BY first",
		(unsigned)stream);
	assert_db_text(store->path, sql, expected);
}

#endif
