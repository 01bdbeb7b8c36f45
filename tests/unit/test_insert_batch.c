#include "ingest_store.h"

static void test_a_batch_is_stored_and_answered(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 1, .count = 3}),
		"#0 stored 1+3");
	assert_db_text(store.path,
		"SELECT ts, temperature, humidity FROM reading ORDER BY id",
		"1732300001000000|0.1|50.0 1732300002000000|0.2|50.0 "
		"1732300003000000|0.3|50.0");
	assert_db_text(store.path, "SELECT topic, name FROM sensor", "/data/n|climate");
	assert_intervals(&store, 0, "1-3");
	assert_db_text(store.path, "SELECT hex(stream), node, lost FROM stream",
		"00000000000000000000000000000000|n|0");
	sqlite_store_close(store.sqlite);
}

static void test_a_batch_that_comes_again_is_answered_and_not_stored_again(void **state)
{
	struct store store;
	const struct batch batch = {.first = 1, .count = 5};
	store_open(state, &store);
	store_batch(&store, &batch);
	assert_string_equal(store_batch(&store, &batch), "#0 stored 1+5");
	assert_string_equal(store_batches(&store, (struct batch[]){batch, batch}, 2),
		"#0 stored 1+5; #1 stored 1+5");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 5);
	assert_int_equal(sqlite_store_counts(store.sqlite)->readings, 5);
	assert_int_equal(sqlite_store_counts(store.sqlite)->duplicates, 15);
	assert_intervals(&store, 0, "1-5");
	sqlite_store_close(store.sqlite);
}

static void test_after_a_restart_nothing_is_stored_again(void **state)
{
	struct store store;
	const struct batch batch = {.first = 1, .count = 5};
	store_open(state, &store);
	store_batch(&store, &batch);
	sqlite_store_close(store.sqlite);
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &batch), "#0 stored 1+5");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 5);
	sqlite_store_close(store.sqlite);
}

static void test_batches_cut_differently_overlap_without_harm(void **state)
{
	struct store store;
	static const struct batch batches[] = {{.first = 3, .count = 4},
		{.first = 1, .count = 4}, {.first = 6, .count = 10},
		{.first = 2, .count = 12}, {.first = 20, .count = 1},
		{.first = 1, .count = 20}};
	store_open(state, &store);
	store_batches(&store, batches, 3);
	store_batches(&store, batches + 3, 3);
	assert_db_text(store.path,
		"SELECT count(*), count(DISTINCT ts), min(temperature), max(temperature)"
		" FROM reading",
		"20|20|0.1|2.0");
	assert_intervals(&store, 0, "1-20");
	sqlite_store_close(store.sqlite);
}

static void test_batches_may_come_in_any_order(void **state)
{
	struct store store;
	store_open(state, &store);
	for (uint64_t i = 0; i < 50; i++)
		store_batch(
			&store, &(struct batch){.first = 1 + 7 * i % 50 * 3, .count = 3});
	assert_int_equal(db_int(store.path, "SELECT count(DISTINCT ts) FROM reading"), 150);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 150);
	assert_intervals(&store, 0, "1-150");
	sqlite_store_close(store.sqlite);
}

static void test_streams_are_independent(void **state)
{
	struct store store;
	static const struct batch batches[] = {{.stream = 1, .first = 1, .count = 2},
		{.stream = 2, .first = 2, .count = 2},
		{.stream = 3, .node = "m", .first = 1, .count = 1}};
	store_open(state, &store);
	assert_string_equal(store_batches(&store, batches, 3),
		"#0 stored 1+2; #1 stored 2+2; #2 stored 1+1");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 5);
	assert_intervals(&store, 1, "1-2");
	assert_intervals(&store, 2, "2-3");
	assert_intervals(&store, 3, "1-1");
	assert_db_text(
		store.path, "SELECT topic FROM sensor ORDER BY id", "/data/n /data/m");
	sqlite_store_close(store.sqlite);
}

static void test_numbers_go_up_to_two_to_the_53(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_string_equal(
		store_batch(&store,
			&(struct batch){.first = DP_SEQ_MAX,
				.count = 1,
				.low = DP_SEQ_MAX,
				.payload =
					"[{\"bn\":\"a/\",\"bt\":1732300000,"
					"\"n\":\"temperature\",\"u\":\"Cel\",\"v\":1}]"}),
		"#0 stored 9007199254740992+1");
	assert_intervals(&store, 0, "1-9007199254740992");
	assert_db_text(store.path, "SELECT first, count FROM lost", "1|9007199254740991");
	assert_true(sqlite_store_counts(store.sqlite)->lost == DP_SEQ_MAX - 1);
	sqlite_store_close(store.sqlite);
}

static void test_the_largest_batch_is_stored(void **state)
{
	struct store store;
	const struct sink_options options = {.max_message_bytes = 4 << 20};
	store_open_with(state, &store, &options);
	assert_string_equal(
		store_batch(&store, &(struct batch){.first = 1, .count = DP_COUNT_MAX}),
		"#0 stored 1+10000");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), DP_COUNT_MAX);
	sqlite_store_close(store.sqlite);
}

static void test_a_stream_of_another_node_is_postponed_and_nothing_stored(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 2});
	assert_string_equal(
		store_batch(&store,
			&(struct batch){.node = "m", .first = 1, .count = 5, .low = 1}),
		"#0 later 1+5 (the stream belongs to another node)");
	/* Not even its low is believed. */
	assert_string_equal(
		store_batch(&store, &(struct batch){.node = "m", .first = 100, .low = 100}),
		"#0 heard");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 2);
	assert_intervals(&store, 0, "1-2");
	assert_db_text(store.path, "SELECT node FROM stream", "n");
	assert_int_equal(sqlite_store_counts(store.sqlite)->later, 1);
	sqlite_store_close(store.sqlite);
}

static void test_an_unknown_version_is_postponed(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_string_equal(
		store_batch(
			&store, &(struct batch){.version = "3", .first = 4, .count = 3}),
		"#0 later 4+3 (contract version is not 1 or 2)");
	/* Even when it is not known of which readings it is: it is no dead letter. */
	assert_string_equal(
		store_batch(
			&store, &(struct batch){.version = "3", .first = 0, .count = 3}),
		"");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM stream"), 0);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 0);
	assert_int_equal(sqlite_store_counts(store.sqlite)->later, 2);
	sqlite_store_close(store.sqlite);
}

static void test_nobody_is_answered_who_did_not_ask(void **state)
{
	struct store store;
	static const struct batch batches[] = {{.first = 1, .count = 2, .silent = true},
		{.version = "3", .first = 3, .count = 1, .silent = true},
		{.first = 4, .count = 1, .payload = "nonsense", .silent = true},
		{.first = 0, .count = 1, .silent = true}};
	store_open(state, &store);
	assert_string_equal(store_batches(&store, batches, 4), "");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 2);
	sqlite_store_close(store.sqlite);
}

static void test_a_stream_is_seen_again_at_most_once_an_hour(void **state)
{
	struct store store;
	static const char seen[] = "SELECT seen FROM stream";
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 1});
	assert_true(db_int(store.path, seen) == NOW_US);
	store_commit(&store, batch_message(&(struct batch){.first = 2, .count = 1}),
		NOW_US + HOUR_US);
	assert_true(db_int(store.path, seen) == NOW_US);
	store_commit(&store, batch_message(&(struct batch){.first = 3, .count = 1}),
		NOW_US + HOUR_US + 1);
	assert_true(db_int(store.path, seen) == NOW_US + HOUR_US + 1);
	assert_true(db_int(store.path, "SELECT created FROM stream") == NOW_US);
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_batch_is_stored_and_answered),
		IN_DIRECTORY(
			test_a_batch_that_comes_again_is_answered_and_not_stored_again),
		IN_DIRECTORY(test_after_a_restart_nothing_is_stored_again),
		IN_DIRECTORY(test_batches_cut_differently_overlap_without_harm),
		IN_DIRECTORY(test_batches_may_come_in_any_order),
		IN_DIRECTORY(test_streams_are_independent),
		IN_DIRECTORY(test_numbers_go_up_to_two_to_the_53),
		IN_DIRECTORY(test_the_largest_batch_is_stored),
		IN_DIRECTORY(test_a_stream_of_another_node_is_postponed_and_nothing_stored),
		IN_DIRECTORY(test_an_unknown_version_is_postponed),
		IN_DIRECTORY(test_nobody_is_answered_who_did_not_ask),
		IN_DIRECTORY(test_a_stream_is_seen_again_at_most_once_an_hour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
