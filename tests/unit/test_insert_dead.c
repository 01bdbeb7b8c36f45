#include "ingest_store.h"

#define GOOD(v) "{\"bn\":\"a/\",\"bt\":1732300001,\"n\":\"t\",\"u\":\"V\",\"v\":" #v "}"
#define HEX_0 "00000000000000000000000000000000"

static void test_a_bad_reading_among_good_ones_is_a_dead_letter(void **state)
{
	struct store store;
	static const char bad[] =
		"{\"bn\":\"a/\",\"bt\":1732300001,\"n\":\"t\",\"v\":\"hot\"}";
	char payload[512];
	store_open(state, &store);
	snprintf(payload, sizeof(payload), "[" GOOD(1) "," GOOD(2) ",%s," GOOD(4) "]", bad);
	assert_string_equal(
		store_batch(&store,
			&(struct batch){.first = 11, .count = 4, .payload = payload}),
		"#0 stored 11+2; #0 rejected 13+1 (a SenML member has the wrong type, or "
		"must be "
		"understood and is not); #0 stored 14+1");
	assert_db_text(store.path, "SELECT v2 FROM reading ORDER BY id", "1.0 2.0 4.0");
	char expected[512];
	snprintf(expected, sizeof(expected),
		"1800000000000000|/data/n/batch|" HEX_0 "|13|%zu|[%s]", strlen(bad) + 2,
		bad);
	assert_db_text(store.path,
		"SELECT ts, topic, hex(stream), seq, bytes, CAST(payload AS TEXT) FROM "
		"dead_letter",
		expected);
	/* Its number is consumed: nothing waits for it, and it is not buried again. */
	assert_intervals(&store, 0, "11-14");
	store_batch(&store, &(struct batch){.first = 11, .count = 4, .payload = payload});
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 1);
	assert_int_equal(sqlite_store_counts(store.sqlite)->dead_letters, 1);
	sqlite_store_close(store.sqlite);
}

static void test_readings_that_ingest_cannot_place_are_dead_letters(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_string_equal(
		store_batch(&store,
			&(struct batch){.first = 1,
				.count = 3,
				.payload =
					"[{\"bn\":\"a/\",\"n\":\"t\",\"u\":\"V\",\"v\":1},"
					"{\"bn\":\"\",\"bt\":1732300001,\"n\":\"t\",\"u\":"
					"\"V\","
					"\"v\":2}," GOOD(3) "]"}),
		"#0 rejected 1+1 (a reading without a time); #0 rejected 2+1 (a reading "
		"without a "
		"sensor); #0 stored 3+1");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1);
	sqlite_store_close(store.sqlite);
}

/* The whole batch 1+3 is buried once, answered each time, and its numbers are consumed. */
static void assert_buried(
	struct store *store, const struct batch *batch, const char *reason)
{
	char expected[256];
	snprintf(expected, sizeof(expected), "#0 rejected 1+3 (%s)", reason);
	assert_string_equal(store_batch(store, batch), expected);
	assert_string_equal(store_batch(store, batch), expected);
	assert_db_text(store->path, "SELECT reason FROM dead_letter", reason);
	assert_int_equal(db_int(store->path, "SELECT seq FROM dead_letter"), 1);
	assert_int_equal(db_int(store->path, "SELECT count(*) FROM reading"), 0);
	assert_intervals(store, 0, "1-3");
	/* What comes behind it is stored. */
	assert_string_equal(store_batch(store, &(struct batch){.first = 4, .count = 1}),
		"#0 stored 4+1");
	sqlite_store_close(store->sqlite);
}

static void test_a_batch_that_is_no_json_is_buried_whole(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_buried(&store,
		&(struct batch){.first = 1, .count = 3, .payload = "[" GOOD(1) ","},
		"not valid JSON");
}

static void test_a_batch_that_is_no_utf8_is_buried_whole(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_buried(&store,
		&(struct batch){.first = 1,
			.count = 3,
			.payload = "[" GOOD(1) "," GOOD(
				2) ",{\"bn\":\"\xff/\",\"bt\":1732300001,"
				   "\"n\":\"t\",\"v\":3}]"},
		"not valid JSON");
}

static void test_a_batch_that_is_no_pack_is_buried_whole(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_buried(&store,
		&(struct batch){.first = 1, .count = 3, .payload = "{\"t\":1}"},
		"not a SenML pack: the payload is no JSON array");
}

static void test_a_batch_with_too_few_readings_is_buried_whole(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_buried(&store,
		&(struct batch){
			.first = 1, .count = 3, .payload = "[" GOOD(1) "," GOOD(2) "]"},
		"count differs from the readings in the payload");
}

static void test_a_batch_with_too_many_readings_is_buried_whole(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_buried(&store,
		&(struct batch){.first = 1,
			.count = 3,
			.payload = "[" GOOD(1) "," GOOD(2) "," GOOD(3) "," GOOD(4) "]"},
		"count differs from the readings in the payload");
}

static void test_an_oversized_batch_is_buried_with_its_beginning(void **state)
{
	struct store store;
	const struct sink_options options = {.max_message_bytes = 100};
	store_open_with(state, &store, &options);
	const struct batch batch = {.first = 1, .count = 3};
	static char payload[1024];
	size_t len = payload_of(&batch, payload, sizeof(payload));
	assert_string_equal(store_batch(&store, &batch),
		"#0 rejected 1+3 (larger than MAX_MESSAGE_BYTES)");
	assert_int_equal(db_int(store.path, "SELECT bytes FROM dead_letter"), len);
	payload[100] = '\0';
	assert_db_text(
		store.path, "SELECT CAST(payload AS TEXT) FROM dead_letter", payload);
	assert_intervals(&store, 0, "1-3");
	sqlite_store_close(store.sqlite);
}

static void test_a_batch_of_exactly_the_limit_is_stored(void **state)
{
	struct store store;
	const struct batch batch = {.first = 1, .count = 3};
	static char payload[1024];
	const struct sink_options options = {
		.max_message_bytes = payload_of(&batch, payload, sizeof(payload))};
	store_open_with(state, &store, &options);
	assert_string_equal(store_batch(&store, &batch), "#0 stored 1+3");
	sqlite_store_close(store.sqlite);
}

static void test_a_batch_that_was_partly_stored_is_buried_for_the_rest(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 2});
	store_batch(&store, &(struct batch){.first = 1, .count = 3, .payload = "broken"});
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 1);
	assert_intervals(&store, 0, "1-3");
	sqlite_store_close(store.sqlite);
}

static void test_a_batch_without_identity_is_answered_by_its_correlation_data(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 0, .count = 1}),
		"#0 error (first property is missing or not within 1 and 2^53)");
	assert_db_text(store.path, "SELECT stream, seq, topic FROM dead_letter",
		"NULL|NULL|/data/n/batch");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM stream"), 0);
	sqlite_store_close(store.sqlite);
}

static void test_the_oldest_dead_letters_go_beyond_the_cap(void **state)
{
	struct store store;
	const struct sink_options options = {.dead_letters_max = 5};
	char payload[32];
	store_open_with(state, &store, &options);
	for (uint64_t i = 1; i <= 12; i++) {
		snprintf(payload, sizeof(payload), "broken %d", (int)i);
		store_batch(&store,
			&(struct batch){.first = i, .count = 1, .payload = payload});
		assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"),
			i < 5 ? i : 5);
	}
	assert_db_text(
		store.path, "SELECT seq FROM dead_letter ORDER BY id", "8 9 10 11 12");
	assert_int_equal(sqlite_store_counts(store.sqlite)->dead_letters, 12);
	/* Many in one transaction. */
	struct batch batches[20];
	for (uint64_t i = 0; i < LENGTH(batches); i++)
		batches[i] =
			(struct batch){.first = 13 + i, .count = 1, .payload = "broken"};
	store_batches(&store, batches, LENGTH(batches));
	assert_db_text(
		store.path, "SELECT seq FROM dead_letter ORDER BY id", "28 29 30 31 32");
	sqlite_store_close(store.sqlite);
}

static void plain_letter(struct store *store, const char *topic, int n)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "chatter %d", n);
	assert_int_equal(
		store_commit(store, plain_message(topic, text, (size_t)len), NOW_US), 0);
}

static void test_a_chattering_device_pushes_no_other_dead_letter_out(void **state)
{
	struct store store;
	const struct sink_options options = {.dead_letters_max = 20};
	store_open_with(state, &store, &options);
	assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence, NOW_US), 0);
	for (uint64_t i = 1; i <= 3; i++)
		store_batch(&store,
			&(struct batch){.first = i, .count = 1, .payload = "broken"});
	plain_letter(&store, "/data/quiet", 1);
	for (int i = 0; i < 50; i++)
		plain_letter(&store, "/data/chatter", i);
	assert_db_text(store.path,
		"SELECT topic, count(*) FROM dead_letter GROUP BY topic ORDER BY topic",
		"/data/chatter|16 /data/n/batch|3 /data/quiet|1");
	/* Of the chatter the newest are kept. */
	assert_db_text(store.path,
		"SELECT CAST(payload AS TEXT) FROM dead_letter WHERE topic = "
		"'/data/chatter'"
		" ORDER BY id LIMIT 1",
		"chatter 34");
	sqlite_store_close(store.sqlite);
}

static void test_many_topics_leave_native_ones_their_half(void **state)
{
	struct store store;
	const struct sink_options options = {.dead_letters_max = 20};
	char topic[32];
	store_open_with(state, &store, &options);
	assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence, NOW_US), 0);
	for (uint64_t i = 1; i <= 15; i++)
		store_batch(&store,
			&(struct batch){.first = i, .count = 1, .payload = "broken"});
	for (int i = 0; i < 100; i++) {
		snprintf(topic, sizeof(topic), "/data/device%d", i);
		plain_letter(&store, topic, i);
	}
	assert_db_text(store.path,
		"SELECT topic LIKE '%/batch' AS native, count(*), max(seq) FROM dead_letter"
		" GROUP BY native",
		"0|10|NULL 1|10|15");
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_bad_reading_among_good_ones_is_a_dead_letter),
		IN_DIRECTORY(test_readings_that_ingest_cannot_place_are_dead_letters),
		IN_DIRECTORY(test_a_batch_that_is_no_json_is_buried_whole),
		IN_DIRECTORY(test_a_batch_that_is_no_utf8_is_buried_whole),
		IN_DIRECTORY(test_a_batch_that_is_no_pack_is_buried_whole),
		IN_DIRECTORY(test_a_batch_with_too_few_readings_is_buried_whole),
		IN_DIRECTORY(test_a_batch_with_too_many_readings_is_buried_whole),
		IN_DIRECTORY(test_an_oversized_batch_is_buried_with_its_beginning),
		IN_DIRECTORY(test_a_batch_of_exactly_the_limit_is_stored),
		IN_DIRECTORY(test_a_batch_that_was_partly_stored_is_buried_for_the_rest),
		IN_DIRECTORY(
			test_a_batch_without_identity_is_answered_by_its_correlation_data),
		IN_DIRECTORY(test_the_oldest_dead_letters_go_beyond_the_cap),
		IN_DIRECTORY(test_a_chattering_device_pushes_no_other_dead_letter_out),
		IN_DIRECTORY(test_many_topics_leave_native_ones_their_half),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
