#include "ingest_store.h"

#include <glob.h>

/* What no check of SQLite's finds, written into the file of a store that was closed. */
static void damage(struct store *store, const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(store->path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "PRAGMA ignore_check_constraints=1", NULL, NULL, NULL),
		SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static size_t set_aside(const struct store *store)
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

static void fill(void **state, struct store *store)
{
	store_open(state, store);
	store_batch(store, &(struct batch){.first = 1, .count = 3});
	store_batch(store, &(struct batch){.first = 11, .count = 3});
	sqlite_store_close(store->sqlite);
}

static void assert_set_aside(void **state, const char *sql)
{
	struct store store;
	fill(state, &store);
	damage(&store, sql);
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 21, .count = 2}),
		"#0 stored 21+2");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 2);
	assert_int_equal(set_aside(&store), 1);
	sqlite_store_close(store.sqlite);
}

#define SET_ASIDE(name, sql)                                                               \
	static void name(void **state)                                                     \
	{                                                                                  \
		assert_set_aside(state, sql);                                              \
	}

SET_ASIDE(test_a_column_that_no_row_has,
	"UPDATE channel SET col = 200 WHERE quantity = 'humidity'")
SET_ASIDE(test_a_column_below_the_first,
	"UPDATE channel SET col = -1 WHERE quantity = 'humidity'")
SET_ASIDE(test_a_part_below_the_first, "UPDATE sensor SET part = -1")
SET_ASIDE(test_a_part_beyond_all_there_can_be, "UPDATE sensor SET part = 1000001")
SET_ASIDE(test_another_quantity_in_the_column_of_temperature,
	"UPDATE channel SET quantity = 'uemperature' WHERE col = 0")
SET_ASIDE(test_an_interval_that_ends_before_it_begins,
	"UPDATE stream_interval SET last = 5 WHERE first = 11")
SET_ASIDE(
	test_intervals_that_overlap, "UPDATE stream_interval SET last = 12 WHERE first = 1")
SET_ASIDE(test_an_interval_below_the_first_number,
	"UPDATE stream_interval SET first = -3 WHERE first = 1")
SET_ASIDE(test_an_interval_beyond_the_last_number,
	"UPDATE stream_interval SET last = 9223372036854775807 WHERE first = 11")
SET_ASIDE(test_an_interval_that_is_text,
	"UPDATE stream_interval SET first = 'x' WHERE first = 11")
SET_ASIDE(test_a_stream_with_the_number_of_none,
	"PRAGMA foreign_keys=0; UPDATE stream SET id = 0")
SET_ASIDE(test_a_next_number_near_the_largest,
	"UPDATE next_id SET reading = 9223372036854775807")
SET_ASIDE(test_a_next_number_below_the_first, "UPDATE next_id SET reading = -7")

static void test_a_stream_that_was_seen_before_all_time(void **state)
{
	struct store store;
	fill(state, &store);
	damage(&store, "UPDATE stream SET seen = -9223372036854775807");
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 4, .count = 2}),
		"#0 stored 4+2");
	assert_int_equal(db_int(store.path, "SELECT seen FROM stream"), NOW_US);
	assert_int_equal(set_aside(&store), 0);
	sqlite_store_close(store.sqlite);
}

static void test_a_lease_that_never_ends_is_taken(void **state)
{
	static const char *const values[] = {
		"expires = 'x'", "expires = x'00'", "number = 'x'", "holder = x'00'"};
	struct store store;
	fill(state, &store);
	for (size_t i = 0; i < LENGTH(values); i++) {
		char sql[256];
		snprintf(sql, sizeof(sql),
			"INSERT OR REPLACE INTO lease VALUES ('plain', 'them', 1, 0);"
			"UPDATE lease SET %s",
			values[i]);
		damage(&store, sql);
		store_open(state, &store);
		assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence, NOW_US), 0);
		assert_true(store.fence.held);
		sqlite_store_close(store.sqlite);
	}
	assert_int_equal(set_aside(&store), 0);
}

static void test_a_store_without_identity_gets_one(void **state)
{
	static const char *const damages[] = {"DELETE FROM store",
		"UPDATE store SET id = x'00'", "UPDATE store SET id = 'sixteen letters.'"};
	struct store store;
	char first[DP_STORE_ID];
	store_open(state, &store);
	snprintf(first, sizeof(first), "%s", sqlite_store_id(store.sqlite));
	assert_int_equal(strlen(first), 32);
	sqlite_store_close(store.sqlite);
	store_open(state, &store);
	assert_string_equal(sqlite_store_id(store.sqlite), first);
	sqlite_store_close(store.sqlite);
	for (size_t i = 0; i < LENGTH(damages); i++) {
		damage(&store, damages[i]);
		store_open(state, &store);
		assert_int_equal(strlen(sqlite_store_id(store.sqlite)), 32);
		assert_string_not_equal(sqlite_store_id(store.sqlite), first);
		assert_int_equal(db_int(store.path, "SELECT count(*) FROM store"), 1);
		sqlite_store_close(store.sqlite);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_column_that_no_row_has),
		IN_DIRECTORY(test_a_column_below_the_first),
		IN_DIRECTORY(test_a_part_below_the_first),
		IN_DIRECTORY(test_a_part_beyond_all_there_can_be),
		IN_DIRECTORY(test_another_quantity_in_the_column_of_temperature),
		IN_DIRECTORY(test_an_interval_that_ends_before_it_begins),
		IN_DIRECTORY(test_intervals_that_overlap),
		IN_DIRECTORY(test_an_interval_below_the_first_number),
		IN_DIRECTORY(test_an_interval_beyond_the_last_number),
		IN_DIRECTORY(test_an_interval_that_is_text),
		IN_DIRECTORY(test_a_stream_with_the_number_of_none),
		IN_DIRECTORY(test_a_next_number_near_the_largest),
		IN_DIRECTORY(test_a_next_number_below_the_first),
		IN_DIRECTORY(test_a_stream_that_was_seen_before_all_time),
		IN_DIRECTORY(test_a_lease_that_never_ends_is_taken),
		IN_DIRECTORY(test_a_store_without_identity_gets_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
