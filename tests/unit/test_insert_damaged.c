#include "ingest_store.h"

#include <sys/file.h>

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
	"UPDATE stream_interval SET last = 5, sum = NULL WHERE first = 11")
SET_ASIDE(test_intervals_that_overlap,
	"UPDATE stream_interval SET last = 12, sum = NULL WHERE first = 1")
SET_ASIDE(test_an_interval_below_the_first_number,
	"UPDATE stream_interval SET first = -3, sum = NULL WHERE first = 1")
SET_ASIDE(test_an_interval_beyond_the_last_number,
	"UPDATE stream_interval SET last = 9223372036854775807, sum = NULL WHERE first = "
	"11")
SET_ASIDE(test_an_interval_that_is_text,
	"UPDATE stream_interval SET first = 'x', sum = NULL WHERE first = 11")
SET_ASIDE(test_an_interval_that_became_shorter,
	"UPDATE stream_interval SET last = 12 WHERE first = 11")
SET_ASIDE(test_an_interval_that_begins_later,
	"UPDATE stream_interval SET first = 2 WHERE first = 1")
SET_ASIDE(test_an_interval_of_another_stream,
	"PRAGMA foreign_keys=0; UPDATE stream_interval SET stream = 3 WHERE first = 11")
SET_ASIDE(test_a_stream_of_another_node, "UPDATE stream SET node = 'o'")
SET_ASIDE(test_a_stream_whose_checksum_is_text, "UPDATE stream SET sum = 'x'")
SET_ASIDE(test_a_stream_with_the_number_of_none,
	"PRAGMA foreign_keys=0; UPDATE stream SET id = 0")
SET_ASIDE(test_a_next_number_near_the_largest,
	"UPDATE next_id SET reading = 9223372036854775807, sum = NULL")
SET_ASIDE(test_a_next_number_below_the_first, "UPDATE next_id SET reading = -7, sum = NULL")

/* The n-th place at which the file has these bytes gets others. */
static void patch(const struct store *store, const char *from, const char *to, unsigned nth)
{
	static char bytes[1 << 20];
	int fd = open(store->path, O_RDWR | O_CLOEXEC);
	require(fd >= 0);
	ssize_t size = read(fd, bytes, sizeof(bytes));
	require(size > 0 && size < (ssize_t)sizeof(bytes));
	const char *at = bytes;
	for (unsigned i = 0; i < nth; i++) {
		at = memmem(at + 1, (size_t)(bytes + size - at) - 1, from, strlen(from));
		if (at == NULL)
			fail_msg("%s is there %u times", from, i);
	}
	require(pwrite(fd, to, strlen(to), at - bytes) == (ssize_t)strlen(to));
	close(fd);
}

static void assert_patch_set_aside(
	void **state, const char *from, const char *to, unsigned nth)
{
	struct store store;
	fill(state, &store);
	patch(&store, from, to, nth);
	store_open(state, &store);
	assert_int_equal(set_aside(&store), 1);
	sqlite_store_close(store.sqlite);
}

/* Each stands in a table and in its index, or in two indexes; either may be read. */
static void test_a_row_and_its_index_that_differ(void **state)
{
	for (unsigned nth = 1; nth <= 2; nth++) {
		void *directory = NULL;
		assert_int_equal(make_directory(&directory), 0);
		assert_patch_set_aside(&directory, "/data/nclimate", "/data/nclimatd", nth);
		remove_directory(&directory);
		assert_int_equal(make_directory(&directory), 0);
		assert_patch_set_aside(&directory, "humidity%RH", "hulidity%RH", nth);
		remove_directory(&directory);
	}
	(void)state;
}

/* A row that is not found by its index would be made again. */
static void test_a_stream_that_its_index_does_not_have(void **state)
{
	struct store store;
	fill(state, &store);
	db_exec(store.path,
		"UPDATE stream SET stream = CAST('0123456789abcdef' AS BLOB), sum = NULL");
	patch(&store, "0123456789abcdef", "0123456789abcdeg", 1);
	store_open(state, &store);
	assert_int_equal(set_aside(&store), 1);
	sqlite_store_close(store.sqlite);
}

static void test_an_interval_that_changes_while_the_file_is_open(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 3});
	db_exec(store.path, "UPDATE stream_interval SET last = 2");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 1, .count = 3}),
		"#0 stored 1+3");
	assert_int_equal(set_aside(&store), 1);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 3);
	sqlite_store_close(store.sqlite);
}

/* A replica that is in a transaction keeps the file where it is; then it is tried again. */
static void test_a_damaged_file_that_is_used_is_set_aside_later(void **state)
{
	char lock[PATH_SIZE];
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 3});
	db_exec(store.path, "UPDATE stream_interval SET last = 2");
	int fd = open(path_in(state, "broker.db-lock", lock), O_RDWR | O_CLOEXEC);
	require(fd >= 0 && flock(fd, LOCK_SH) == 0);
	struct incoming *in = batch_message(&(struct batch){.first = 1, .count = 3});
	assert_int_equal(store_commit(&store, in, NOW_US), -EBUSY);
	close(fd);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 1, .count = 3}),
		"#0 stored 1+3");
	assert_int_equal(set_aside(&store), 1);
	sqlite_store_close(store.sqlite);
}

/* The file that was put there lacks a table, until somebody mends it. */
static void test_a_file_that_cannot_be_used_yet_is_tried_again(void **state)
{
	char other[PATH_SIZE];
	struct store store;
	store_open(state, &store);
	db_copy(store.path, path_in(state, "other.db", other));
	db_exec(other, "ALTER TABLE lost RENAME TO kept");
	replace_file(store.path, other);
	for (int i = 0; i < 2; i++) {
		struct incoming *in =
			batch_message(&(struct batch){.first = 1, .count = 3});
		assert_int_equal(store_commit(&store, in, NOW_US), -EIO);
	}
	db_exec(store.path, "ALTER TABLE kept RENAME TO lost");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 1, .count = 3}),
		"#0 stored 1+3");
	assert_int_equal(set_aside(&store), 0);
	sqlite_store_close(store.sqlite);
}

/* Rows of an older version have no checksums; they get them when they are written. */
static void test_rows_without_checksums_get_them(void **state)
{
	struct store store;
	fill(state, &store);
	damage(&store, "UPDATE stream SET sum = NULL, seen = 0; UPDATE stream_interval SET "
		       "sum = NULL");
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 4, .count = 2}),
		"#0 stored 4+2");
	assert_int_equal(db_int(store.path, "SELECT count(sum) FROM stream"), 1);
	assert_db_text(
		store.path, "SELECT first, sum IS NULL FROM stream_interval", "1|0 11|1");
	sqlite_store_close(store.sqlite);
	store_open(state, &store);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 4, .count = 2}),
		"#0 stored 4+2");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 8);
	assert_int_equal(set_aside(&store), 0);
	sqlite_store_close(store.sqlite);
}

static void test_a_next_number_that_was_changed_is_looked_up(void **state)
{
	static const struct {
		const char *found;
		int64_t next;
	} changes[] = {{"3", 7}, {"-7", 9}, {"9223372036854775807", 11}, {"'x'", 13},
		{"1000", 1000}};
	struct store store;
	fill(state, &store);
	for (size_t i = 0; i < LENGTH(changes); i++) {
		char sql[64];
		snprintf(sql, sizeof(sql), "UPDATE next_id SET reading = %s",
			changes[i].found);
		damage(&store, sql);
		store_open(state, &store);
		store_batch(&store,
			&(struct batch){.first = 4 + 2 * i, .count = 2, .stream = 2});
		assert_int_equal(db_int(store.path, "SELECT reading FROM next_id"),
			changes[i].next + 2);
		assert_int_equal(
			db_int(store.path,
				"SELECT count(DISTINCT id) - count(*) FROM reading"),
			0);
		sqlite_store_close(store.sqlite);
	}
	assert_int_equal(set_aside(&store), 0);
}

/* The pruner's mark names ids of readings that are deleted since. */
static void test_a_next_number_is_none_that_the_mark_knows(void **state)
{
	struct store store;
	fill(state, &store);
	damage(&store, "UPDATE next_id SET reading = 2; DELETE FROM reading;"
		       " UPDATE retention SET counted_id = 7");
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 4, .count = 2});
	assert_int_equal(db_int(store.path, "SELECT min(id) FROM reading"), 7);
	assert_int_equal(db_int(store.path, "SELECT reading FROM next_id"), 9);
	sqlite_store_close(store.sqlite);
}

static void test_a_next_number_is_looked_up_once(void **state)
{
	struct store store;
	fill(state, &store);
	damage(&store, "UPDATE next_id SET reading = 1000");
	int64_t wrong = db_int(store.path, "SELECT sum FROM next_id");
	store_open(state, &store);
	/* Nothing of it is new. */
	store_batch(&store, &(struct batch){.first = 1, .count = 3});
	assert_int_equal(db_int(store.path, "SELECT reading FROM next_id"), 1000);
	assert_int_not_equal(db_int(store.path, "SELECT sum FROM next_id"), wrong);
	sqlite_store_close(store.sqlite);
}

static void test_names_that_people_change_are_no_damage(void **state)
{
	struct store store;
	fill(state, &store);
	db_exec(store.path,
		"UPDATE sensor SET name = 'attic'; UPDATE channel SET unit = 'K' WHERE"
		" col = 0; DELETE FROM stream");
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 4, .count = 2});
	assert_int_equal(set_aside(&store), 0);
	sqlite_store_close(store.sqlite);
}

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
		IN_DIRECTORY(test_an_interval_that_became_shorter),
		IN_DIRECTORY(test_an_interval_that_begins_later),
		IN_DIRECTORY(test_an_interval_of_another_stream),
		IN_DIRECTORY(test_a_stream_of_another_node),
		IN_DIRECTORY(test_a_stream_whose_checksum_is_text),
		IN_DIRECTORY(test_a_row_and_its_index_that_differ),
		IN_DIRECTORY(test_a_stream_that_its_index_does_not_have),
		IN_DIRECTORY(test_an_interval_that_changes_while_the_file_is_open),
		IN_DIRECTORY(test_a_damaged_file_that_is_used_is_set_aside_later),
		IN_DIRECTORY(test_a_file_that_cannot_be_used_yet_is_tried_again),
		IN_DIRECTORY(test_rows_without_checksums_get_them),
		IN_DIRECTORY(test_names_that_people_change_are_no_damage),
		IN_DIRECTORY(test_a_next_number_that_was_changed_is_looked_up),
		IN_DIRECTORY(test_a_next_number_is_none_that_the_mark_knows),
		IN_DIRECTORY(test_a_next_number_is_looked_up_once),
		IN_DIRECTORY(test_a_stream_with_the_number_of_none),
		IN_DIRECTORY(test_a_next_number_near_the_largest),
		IN_DIRECTORY(test_a_next_number_below_the_first),
		IN_DIRECTORY(test_a_stream_that_was_seen_before_all_time),
		IN_DIRECTORY(test_a_lease_that_never_ends_is_taken),
		IN_DIRECTORY(test_a_store_without_identity_gets_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
