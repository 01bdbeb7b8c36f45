#include "ingest_store.h"

#define GAPS_MAX 1024

static void test_low_closes_the_gaps_below_it_as_lost(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 5, .count = 3});
	store_batch(&store, &(struct batch){.first = 20, .count = 1});
	assert_intervals(&store, 0, "5-7 20-20");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM lost"), 0);
	/* What is missing above low is on its way. */
	store_batch(&store, &(struct batch){.first = 30, .count = 1, .low = 15});
	assert_intervals(&store, 0, "1-14 20-20 30-30");
	assert_db_text(store.path, "SELECT first, count, ts FROM lost ORDER BY first",
		"1|4|1800000000000000 8|7|1800000000000000");
	assert_int_equal(db_int(store.path, "SELECT lost FROM stream"), 11);
	assert_int_equal(sqlite_store_counts(store.sqlite)->lost, 11);
	sqlite_store_close(store.sqlite);
}

static void test_low_that_rises_again_closes_the_rest_once(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 10, .count = 1, .low = 5});
	store_batch(&store, &(struct batch){.first = 11, .count = 1, .low = 5});
	store_batch(&store, &(struct batch){.first = 12, .count = 1, .low = 3});
	assert_db_text(store.path, "SELECT first, count FROM lost", "1|4");
	store_batch(&store, &(struct batch){.first = 13, .count = 1, .low = 13});
	assert_db_text(
		store.path, "SELECT first, count FROM lost ORDER BY first", "1|4 5|5");
	assert_int_equal(db_int(store.path, "SELECT lost FROM stream"), 9);
	assert_intervals(&store, 0, "1-13");
	sqlite_store_close(store.sqlite);
}

static void test_a_message_without_readings_closes_a_stream(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 5});
	assert_string_equal(
		store_batch(&store, &(struct batch){.first = 9, .low = 9}), "#0 heard");
	assert_intervals(&store, 0, "1-8");
	assert_db_text(store.path, "SELECT first, count FROM lost", "6|3");
	sqlite_store_close(store.sqlite);
}

static void test_a_stream_may_be_closed_before_anything_of_it_came(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.stream = 1, .first = 1, .low = 1});
	store_batch(&store, &(struct batch){.stream = 2, .first = 4, .low = 4});
	assert_intervals(&store, 1, "");
	assert_intervals(&store, 2, "1-3");
	assert_db_text(store.path, "SELECT lost FROM stream ORDER BY id", "0 3");
	sqlite_store_close(store.sqlite);
}

static void test_nothing_is_lost_that_is_stored_in_the_same_batch(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 3, .low = 1});
	store_batch(&store, &(struct batch){.first = 4, .count = 3, .low = 4});
	assert_intervals(&store, 0, "1-6");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM lost"), 0);
	sqlite_store_close(store.sqlite);
}

static void test_what_was_closed_as_lost_is_not_stored_when_it_comes_after_all(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 5, .count = 1, .low = 5});
	assert_string_equal(store_batch(&store, &(struct batch){.first = 3, .count = 1}),
		"#0 stored 3+1");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1);
	sqlite_store_close(store.sqlite);
}

/* Every other number from `first` on is stored: n intervals. */
static void make_intervals(const struct store *store, int first, int n)
{
	char sql[512];
	snprintf(sql, sizeof(sql),
		"WITH RECURSIVE k (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i + "
		"1 < %d)"
		"INSERT OR IGNORE INTO stream_interval (stream, first, last)"
		" SELECT stream.id, %d + 2 * i, %d + 2 * i FROM k, stream",
		n, first, first);
	db_exec(store->path, sql);
	assert_int_equal(db_int(store->path, "SELECT count(*) FROM stream_interval"), n);
}

/* A stream with that many gaps, beginning with number 1. */
static void open_with_gaps(void **state, struct store *store, int gaps)
{
	store_open(state, store);
	store_batch(store, &(struct batch){.first = 1, .count = 1});
	make_intervals(store, 1, gaps + 1);
}

#define TOO_MANY " (the stream has too many gaps; send the oldest first)"

static void test_a_stream_may_have_1024_gaps_and_no_more(void **state)
{
	struct store store;
	open_with_gaps(state, &store, GAPS_MAX - 1);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 5000, .count = 2}),
		"#0 stored 5000+2");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 6000, .count = 2}),
		"#0 later 6000+2" TOO_MANY);
	assert_int_equal(
		db_int(store.path, "SELECT count(*) FROM reading WHERE ts > 1732306e9"), 0);
	assert_int_equal(sqlite_store_counts(store.sqlite)->later, 1);
	sqlite_store_close(store.sqlite);
}

static void test_the_gap_before_the_first_reading_counts_too(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 2, .count = 1});
	make_intervals(&store, 2, GAPS_MAX); /* 1, 3, 5, ... are missing: 1024 gaps */
	assert_string_equal(store_batch(&store, &(struct batch){.first = 5000, .count = 1}),
		"#0 later 5000+1" TOO_MANY);
	sqlite_store_close(store.sqlite);
}

static void test_at_the_cap_what_extends_or_joins_is_taken(void **state)
{
	struct store store;
	open_with_gaps(state, &store, GAPS_MAX);
	/* The last is 2049. It is extended, repeated; the lowest gap is filled. */
	assert_string_equal(
		store_batch(&store, &(struct batch){.first = 2050, .count = 10}),
		"#0 stored 2050+10");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 3, .count = 1}),
		"#0 stored 3+1");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 2061, .count = 1}),
		"#0 later 2061+1" TOO_MANY);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 2, .count = 1}),
		"#0 stored 2+1");
	/* Now there is room for one. */
	assert_string_equal(store_batch(&store, &(struct batch){.first = 2061, .count = 1}),
		"#0 stored 2061+1");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 2063, .count = 1}),
		"#0 later 2063+1" TOO_MANY);
	sqlite_store_close(store.sqlite);
}

static void test_open_gaps_are_counted(void **state)
{
	struct store store;
	uint64_t n = 99;
	store_open(state, &store);
	assert_int_equal(sqlite_store_gaps(store.sqlite, &n), 0);
	assert_int_equal(n, 0);
	store_batch(&store, &(struct batch){.first = 1, .count = 5});
	store_batch(&store, &(struct batch){.stream = 1, .first = 3, .count = 1});
	store_batch(&store, &(struct batch){.stream = 1, .first = 9, .count = 1});
	assert_int_equal(sqlite_store_gaps(store.sqlite, &n), 0);
	assert_int_equal(n, 2);
	store_batch(&store, &(struct batch){.stream = 1, .first = 10, .low = 9});
	assert_int_equal(sqlite_store_gaps(store.sqlite, &n), 0);
	assert_int_equal(n, 0);
	sqlite_store_close(store.sqlite);
}

static void test_gaps_below_low_do_not_count(void **state)
{
	struct store store;
	open_with_gaps(state, &store, GAPS_MAX);
	assert_string_equal(
		store_batch(
			&store, &(struct batch){.first = 5000, .count = 1, .low = 5000}),
		"#0 stored 5000+1");
	assert_intervals(&store, 0, "1-5000");
	assert_int_equal(
		db_int(store.path, "SELECT lost FROM stream"), GAPS_MAX + 4999 - 2049);
	sqlite_store_close(store.sqlite);
}

static void test_the_low_of_a_postponed_batch_counts(void **state)
{
	struct store store;
	open_with_gaps(state, &store, GAPS_MAX + 10);
	assert_string_equal(
		store_batch(&store, &(struct batch){.first = 5000, .count = 1, .low = 5}),
		"#0 later 5000+1" TOO_MANY);
	assert_db_text(
		store.path, "SELECT first, count FROM lost ORDER BY first", "2|1 4|1");
	assert_int_equal(
		db_int(store.path, "SELECT last FROM stream_interval WHERE first = 1"), 5);
	sqlite_store_close(store.sqlite);
}

static void test_the_cap_of_one_stream_does_not_hinder_another(void **state)
{
	struct store store;
	open_with_gaps(state, &store, GAPS_MAX);
	assert_string_equal(
		store_batch(
			&store, &(struct batch){.stream = 7, .first = 5000, .count = 1}),
		"#0 stored 5000+1");
	sqlite_store_close(store.sqlite);
}

/* Batches of one reading each at first, first + 2, ... in one transaction. */
static void store_every_other(struct store *store, uint64_t first, size_t n)
{
	static struct batch batches[2 * GAPS_MAX];
	assert_true(n <= LENGTH(batches));
	for (size_t i = 0; i < n; i++)
		batches[i] =
			(struct batch){.first = first + 2 * i, .count = 1, .silent = true};
	store_batches(store, batches, n);
}

static void test_a_sender_that_fills_the_lowest_gap_first_gets_everything_through(
	void **state)
{
	struct store store;
	store_open(state, &store);
	store_every_other(&store, 1, 1100);
	assert_int_equal(sqlite_store_counts(store.sqlite)->later, 1100 - (GAPS_MAX + 1));
	store_every_other(&store, 2, 1100);
	store_every_other(&store, 1, 1100);
	assert_intervals(&store, 0, "1-2200");
	assert_db_text(store.path, "SELECT count(*), count(DISTINCT ts) FROM reading",
		"2200|2200");
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_low_closes_the_gaps_below_it_as_lost),
		IN_DIRECTORY(test_low_that_rises_again_closes_the_rest_once),
		IN_DIRECTORY(test_a_message_without_readings_closes_a_stream),
		IN_DIRECTORY(test_a_stream_may_be_closed_before_anything_of_it_came),
		IN_DIRECTORY(test_nothing_is_lost_that_is_stored_in_the_same_batch),
		IN_DIRECTORY(
			test_what_was_closed_as_lost_is_not_stored_when_it_comes_after_all),
		IN_DIRECTORY(test_a_stream_may_have_1024_gaps_and_no_more),
		IN_DIRECTORY(test_the_gap_before_the_first_reading_counts_too),
		IN_DIRECTORY(test_at_the_cap_what_extends_or_joins_is_taken),
		IN_DIRECTORY(test_open_gaps_are_counted),
		IN_DIRECTORY(test_gaps_below_low_do_not_count),
		IN_DIRECTORY(test_the_low_of_a_postponed_batch_counts),
		IN_DIRECTORY(test_the_cap_of_one_stream_does_not_hinder_another),
		IN_DIRECTORY(
			test_a_sender_that_fills_the_lowest_gap_first_gets_everything_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
