/* A publisher's outbox in a real file, filled and looked into. */
#ifndef TEST_OUTBOX_FILE_H
#define TEST_OUTBOX_FILE_H

#include "publisher/outbox/outbox.h"
#include "support.h"

static inline struct dp_stream_id id_of(unsigned n)
{
	struct dp_stream_id id = {{0}};
	id.bytes[0] = (uint8_t)n;
	id.bytes[1] = (uint8_t)(n >> 8);
	return id;
}

static inline struct outbox *open_outbox(void **state, char path[PATH_SIZE])
{
	struct outbox *outbox = NULL;
	assert_int_equal(outbox_open(&outbox, path_in(state, "outbox.db", path)), 0);
	return outbox;
}

static inline int64_t add_stream(struct outbox *outbox, unsigned n, const char *node)
{
	const struct dp_stream_id id = id_of(n);
	int64_t row = 0;
	assert_int_equal(outbox_add_stream(outbox, &id, node, &row), 0);
	assert_true(row > 0);
	return row;
}

/* A reading of that number, as dp_reading_encode() writes it. @return its length */
static inline int write_reading(char json[96], unsigned long long number)
{
	return snprintf(json, 96,
		"{\"bn\":\"s/\",\"bt\":1732312345.000007,\"n\":\"t\",\"v\":%llu}", number);
}

/* Append [first, last] with the number as value, in a transaction of its own. */
static inline void append(struct outbox *outbox, int64_t row, uint64_t first, uint64_t last)
{
	assert_int_equal(outbox_begin(outbox), 0);
	for (uint64_t seq = first; seq <= last; seq++) {
		char json[96];
		int len = write_reading(json, seq);
		const struct outbox_reading reading = {
			row, seq, json, (uint32_t)len, (uint8_t)(seq % 3), 0};
		assert_int_equal(outbox_append(outbox, &reading), 0);
	}
	assert_int_equal(outbox_commit(outbox), 0);
}

static inline void take(struct outbox *outbox, int64_t row, uint64_t first, uint64_t last)
{
	assert_int_equal(outbox_begin(outbox), 0);
	assert_int_equal(outbox_remove(outbox, row, first, last), 0);
	assert_int_equal(outbox_commit(outbox), 0);
}

/* `node low first-last ...; ` of each stream that outbox_streams() finds. */
struct found {
	char text[4096];
	unsigned n;
};

static inline void note_stream(void *data, struct outbox_stream *stream)
{
	struct found *found = data;
	size_t len = strlen(found->text);
	len += (size_t)snprintf(found->text + len, sizeof(found->text) - len, "%s%d %s %d",
		found->n > 0 ? "; " : "", stream->id.bytes[0], stream->node,
		(int)stream->low);
	for (size_t i = 0; i < stream->stored.n; i++)
		len += (size_t)snprintf(found->text + len, sizeof(found->text) - len,
			" %d-%d", (int)stream->stored.at[i].first,
			(int)stream->stored.at[i].last);
	assert_true(stream->row > 0);
	dp_intervals_finish(&stream->stored);
	found->n++;
}

static inline void assert_streams(struct outbox *outbox, const char *expected)
{
	struct found found = {.n = 0};
	assert_int_equal(outbox_streams(outbox, note_stream, &found), 0);
	assert_string_equal(found.text, expected);
}

/* The page from `seq` on holds [first, last], each with its content. */
static inline void assert_page(struct outbox *outbox, int64_t row, struct outbox_page *page,
	uint64_t seq, uint64_t first, uint64_t last)
{
	char json[96];
	assert_int_equal(outbox_load(outbox, row, seq, page), 0);
	assert_int_equal(page->row, row);
	assert_int_equal(page->n, last + 1 - first);
	for (size_t i = 0; i < page->n; i++) {
		const struct outbox_reading *reading = &page->readings[i];
		unsigned long long number = first + i;
		int len = write_reading(json, number);
		assert_int_equal(reading->row, row);
		assert_int_equal(reading->seq, first + i);
		assert_int_equal(reading->len, len);
		assert_memory_equal(reading->json, json, (size_t)len);
		assert_int_equal(reading->clock, (first + i) % 3);
	}
}

#endif
