/* Batches whose payload is deflated: stored as others are, or dead letters. */
#include "deflate.h"
#include "ingest_store.h"

#define TEXT 262144
#define BAD "{\"bn\":\"climate/\",\"bt\":1732300002,\"n\":\"temperature\",\"v\":\"hot\"}"

static char text[8 * TEXT], deflated[TEXT];

static size_t deflate_text(size_t len)
{
	struct dp_deflater deflater = {.z = NULL};
	assert_int_equal(dp_deflater_init(&deflater), 0);
	size_t n = dp_deflate(&deflater, text, len, deflated, sizeof(deflated));
	assert_true(n > 0);
	dp_deflater_finish(&deflater);
	return n;
}

/* A batch of the readings of payload_of(), deflated. */
static struct batch encoded_batch(uint8_t stream, uint64_t first, uint32_t count)
{
	struct batch batch = {.stream = stream, .first = first, .count = count};
	size_t len = payload_of(&batch, text, sizeof(text));
	text[len] = '\0';
	batch.len = deflate_text(len);
	batch.payload = deflated;
	batch.encoded = true;
	return batch;
}

/* Whether the only dead letter has exactly these bytes. */
static void assert_letter(const struct store *store, const char *payload, size_t len)
{
	static char expected[2 * TEXT + 32], found[2 * TEXT + 32];
	int at = snprintf(expected, sizeof(expected), "%zu|", len);
	for (size_t i = 0; i < len; i++)
		at += snprintf(expected + at, sizeof(expected) - (size_t)at, "%02X",
			(unsigned char)payload[i]);
	db_text(store->path, "SELECT bytes, hex(payload) FROM dead_letter", found,
		sizeof(found));
	assert_string_equal(found, expected);
}

static void test_an_encoded_batch_is_stored_as_it_was_before(void **state)
{
	struct store store;
	store_open(state, &store);
	/* Written as our publishers write, and as others may. */
	for (uint8_t stream = 0; stream < 2; stream++) {
		const struct batch batch = encoded_batch(stream, 3, 200);
		assert_string_equal(store_batch(&store, &batch), "#0 stored 3+200");
		assert_string_equal(store_batch(&store, &batch), "#0 stored 3+200");
		assert_intervals(&store, stream, "3-202");
	}
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 0);
	assert_int_equal(
		db_int(store.path,
			"SELECT count(*) FROM reading WHERE abs(temperature - (ts "
			"/ 1000000 - 1732300000) / 10.0) < 1e-9 AND humidity = 50"),
		400);
	sqlite_store_close(store.sqlite);
}

static void test_a_reading_that_is_refused_is_a_dead_letter_in_plain_text(void **state)
{
	struct store store;
	store_open(state, &store);
	const struct batch good = {.first = 1, .count = 2};
	size_t len = payload_of(&good, text, sizeof(text)) - 1;
	len += (size_t)snprintf(text + len, sizeof(text) - len, "," BAD "]");
	const struct batch batch = {.first = 1,
		.count = 3,
		.payload = deflated,
		.len = deflate_text(len),
		.encoded = true};
	assert_non_null(strstr(store_batch(&store, &batch), "stored 1+2; #0 rejected 3+1"));
	assert_letter(&store, "[" BAD "]", strlen("[" BAD "]"));
	sqlite_store_close(store.sqlite);
}

static void test_a_count_that_differs_shows_the_text(void **state)
{
	struct store store;
	store_open(state, &store);
	struct batch batch = encoded_batch(0, 1, 4);
	batch.count = 3;
	assert_string_equal(store_batch(&store, &batch),
		"#0 rejected 1+3 (count differs from the readings in the payload)");
	assert_letter(&store, text, strlen(text));
	sqlite_store_close(store.sqlite);
}

static void test_a_bomb_is_a_dead_letter(void **state)
{
	struct store store;
	store_open(state, &store);
	memset(text, ' ', sizeof(text));
	struct batch batch = {.first = 1,
		.count = 3,
		.payload = deflated,
		.len = deflate_text(sizeof(text)),
		.encoded = true};
	assert_true(batch.len < sizeof(text) / 100);
	for (int i = 0; i < 2; i++)
		assert_string_equal(store_batch(&store, &batch),
			"#0 rejected 1+3 (larger than MAX_MESSAGE_BYTES when inflated)");
	assert_letter(&store, deflated, batch.len);
	assert_intervals(&store, 0, "1-3");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 4, .count = 1}),
		"#0 stored 4+1");
	sqlite_store_close(store.sqlite);
}

static void test_a_payload_that_is_not_encoded_is_a_dead_letter(void **state)
{
	struct store store;
	store_open(state, &store);
	const struct batch batch = {
		.first = 1, .count = 1, .payload = "[1]", .encoded = true};
	assert_string_equal(store_batch(&store, &batch),
		"#0 rejected 1+1 (the payload is not deflated, or damaged)");
	assert_letter(&store, "[1]", 3);
	sqlite_store_close(store.sqlite);
}

/*
 * What stands in the database after one more message with that payload, of which three
 * readings from `first` on were made: they, or one dead letter with the payload.
 * @return whether they were stored
 */
static bool stored_or_buried(struct store *store, const struct batch *batch, uint64_t first)
{
	char expected[64], sql[256];
	const char *answer = store_batch(store, batch);
	snprintf(expected, sizeof(expected), "#0 stored %d+3", (int)first);
	snprintf(sql, sizeof(sql),
		"SELECT count(*) FROM reading WHERE ts >= %lld AND abs(temperature - (ts / "
		"1000000 - 1732300000) / 10.0) < 1e-9 AND humidity = 50",
		(long long)payload_time(first) * 1000000);
	if (strcmp(answer, expected) == 0) {
		assert_int_equal(db_int(store->path, sql), 3);
		assert_int_equal(
			db_int(store->path, "SELECT count(*) FROM dead_letter"), 0);
		return true;
	}
	snprintf(expected, sizeof(expected), "#0 rejected %d+3 (", (int)first);
	assert_memory_equal(answer, expected, strlen(expected));
	assert_int_equal(db_int(store->path, sql), 0);
	assert_letter(store, batch->payload, batch->len);
	db_exec(store->path, "DELETE FROM dead_letter");
	return false;
}

static void test_what_is_cut_or_damaged_is_stored_right_or_buried(void **state)
{
	struct store store;
	uint64_t first = 1;
	store_open(state, &store);
	size_t len = encoded_batch(2, 1, 3).len;
	for (size_t cut = 0; cut < len; cut++, first += 3) {
		struct batch batch = encoded_batch(2, first, 3);
		batch.len = cut > 0 ? cut : 1;
		assert_false(stored_or_buried(&store, &batch, first));
	}
	for (size_t bit = 0; bit < 8 * len; bit++, first += 3) {
		const struct batch batch = encoded_batch(2, first, 3);
		if (bit / 8 < batch.len)
			deflated[bit / 8] ^= (char)(1 << bit % 8);
		stored_or_buried(&store, &batch, first);
	}
	const struct batch whole = encoded_batch(2, first, 3);
	assert_true(stored_or_buried(&store, &whole, first));
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_an_encoded_batch_is_stored_as_it_was_before),
		IN_DIRECTORY(test_a_reading_that_is_refused_is_a_dead_letter_in_plain_text),
		IN_DIRECTORY(test_a_count_that_differs_shows_the_text),
		IN_DIRECTORY(test_a_bomb_is_a_dead_letter),
		IN_DIRECTORY(test_a_payload_that_is_not_encoded_is_a_dead_letter),
		IN_DIRECTORY(test_what_is_cut_or_damaged_is_stored_right_or_buried),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
