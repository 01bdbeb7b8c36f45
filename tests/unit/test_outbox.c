#include "outbox_file.h"

#include <signal.h>
#include <sys/resource.h>

static void test_a_new_outbox_is_empty_and_has_a_name_that_lasts(void **state)
{
	char path[PATH_SIZE], other_path[PATH_SIZE], name[64];
	struct outbox *outbox = open_outbox(state, path), *other = NULL;
	assert_streams(outbox, "");
	snprintf(name, sizeof(name), "%s", outbox_instance(outbox));
	assert_int_equal(strlen(name), 16);
	assert_int_equal(strspn(name, "0123456789abcdef"), 16);
	outbox_close(outbox);
	outbox = open_outbox(state, path);
	assert_string_equal(outbox_instance(outbox), name);
	assert_int_equal(db_int(path, "SELECT count(*) FROM instance"), 1);
	assert_int_equal(outbox_open(&other, path_in(state, "other.db", other_path)), 0);
	assert_string_not_equal(outbox_instance(other), name);
	outbox_close(outbox);
	outbox_close(other);
	outbox_close(NULL);
}

static void test_streams_and_their_readings_are_there_after_a_restart(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	int64_t a = add_stream(outbox, 1, "orangepi0");
	int64_t b = add_stream(outbox, 2, "raspberrypi4");
	append(outbox, a, 1, 10);
	append(outbox, b, 100, 100);
	append(outbox, a, 20, 25);
	assert_int_equal(outbox_set_low(outbox, a, 7), 0);
	outbox_close(outbox);
	outbox = open_outbox(state, path);
	assert_streams(outbox, "1 orangepi0 7 1-10 20-25; 2 raspberrypi4 0 100-100");
	outbox_close(outbox);
}

static void test_a_stream_keeps_its_row_and_its_node(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	int64_t row = add_stream(outbox, 1, "before");
	assert_int_not_equal(add_stream(outbox, 2, "before"), row);
	append(outbox, row, 1, 1);
	/* The node was renamed: what it has sent under its old name stays there. */
	assert_int_equal(add_stream(outbox, 1, "after"), row);
	assert_streams(outbox, "1 before 0 1-1; 2 before 0");
	outbox_close(outbox);
}

static void test_a_reading_is_kept_once_and_as_it_was_first(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_page page = {.n = 0};
	int64_t row = add_stream(outbox, 1, "n");
	const struct outbox_reading again = {row, 2, "other", 5, 2, 0};
	append(outbox, row, 1, 3);
	assert_int_equal(outbox_append(outbox, &again), 0);
	assert_page(outbox, row, &page, 0, 1, 3);
	outbox_page_finish(&page);
	outbox_close(outbox);
}

static void test_removing_takes_a_range_of_one_stream(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	int64_t a = add_stream(outbox, 1, "n"), b = add_stream(outbox, 2, "n");
	append(outbox, a, 1, 10);
	append(outbox, b, 1, 10);
	take(outbox, a, 3, 5);
	take(outbox, a, 9, 20);
	take(outbox, a, 30, 40);
	assert_streams(outbox, "1 n 0 1-2 6-8; 2 n 0 1-10");
	outbox_close(outbox);
}

static void test_numbers_go_up_to_two_to_the_53(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_page page = {.n = 0};
	int64_t row = add_stream(outbox, 1, "n");
	append(outbox, row, DP_SEQ_MAX, DP_SEQ_MAX);
	assert_page(outbox, row, &page, DP_SEQ_MAX, DP_SEQ_MAX, DP_SEQ_MAX);
	assert_int_equal(outbox_load(outbox, row, DP_SEQ_MAX + 1, &page), 0);
	assert_int_equal(page.n, 0);
	take(outbox, row, DP_SEQ_MAX, DP_SEQ_MAX);
	assert_streams(outbox, "1 n 0");
	outbox_page_finish(&page);
	outbox_close(outbox);
}

static void test_pages_hold_a_streams_readings_in_order(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_page page = {.n = 0};
	int64_t a = add_stream(outbox, 1, "n"), b = add_stream(outbox, 2, "n");
	append(outbox, a, 6, 10);
	append(outbox, b, 1, 20);
	append(outbox, a, 1, 5);
	assert_page(outbox, a, &page, 0, 1, 10);
	assert_page(outbox, a, &page, 4, 4, 10);
	assert_page(outbox, b, &page, 20, 20, 20);
	assert_int_equal(outbox_load(outbox, a, 11, &page), 0);
	assert_int_equal(page.n, 0);
	assert_int_equal(outbox_load(outbox, 4711, 0, &page), 0);
	assert_int_equal(page.n, 0);
	outbox_page_finish(&page);
	assert_null(page.readings);
	outbox_close(outbox);
}

static void test_page_after_page_everything_is_loaded_once(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_page page = {.n = 0};
	int64_t row = add_stream(outbox, 1, "n");
	uint64_t next = 1;
	append(outbox, row, 1, 4500);
	for (int pages = 0; next <= 4500; pages++) {
		assert_true(pages < 10);
		assert_int_equal(outbox_load(outbox, row, next, &page), 0);
		assert_in_range(page.n, 1, 2000);
		assert_page(outbox, row, &page, next, next, next + page.n - 1);
		next += page.n;
	}
	assert_int_equal(next, 4501);
	outbox_page_finish(&page);
	outbox_close(outbox);
}

static void test_a_page_of_large_readings_holds_fewer(void **state)
{
	char path[PATH_SIZE];
	static const char record[] = "{\"bn\":\"s/\",\"n\":\"t\",\"v\":1";
	static char json[2048];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_page page = {.n = 0};
	int64_t row = add_stream(outbox, 1, "n");
	memset(json, ' ', sizeof(json));
	memcpy(json, record, sizeof(record) - 1);
	json[sizeof(json) - 1] = '}';
	assert_int_equal(outbox_begin(outbox), 0);
	for (uint64_t seq = 1; seq <= 300; seq++) {
		const struct outbox_reading reading = {row, seq, json, sizeof(json), 0, 0};
		assert_int_equal(outbox_append(outbox, &reading), 0);
	}
	assert_int_equal(outbox_commit(outbox), 0);
	uint64_t next = 1;
	for (int pages = 0; next <= 300; pages++) {
		assert_true(pages < 10);
		assert_int_equal(outbox_load(outbox, row, next, &page), 0);
		assert_in_range(page.n, 1, 299);
		for (size_t i = 0; i < page.n; i++) {
			assert_int_equal(page.readings[i].seq, next++);
			assert_int_equal(page.readings[i].len, sizeof(json));
			assert_memory_equal(page.readings[i].json, json, sizeof(json));
		}
	}
	outbox_page_finish(&page);
	outbox_close(outbox);
}

/* Readings 1 to 3 are committed; a transaction with reading 9 is open. */
static struct outbox *open_begun(void **state, char path[PATH_SIZE], int64_t *row)
{
	struct outbox *outbox = open_outbox(state, path);
	*row = add_stream(outbox, 1, "n");
	const struct outbox_reading reading = {*row, 9, "{}", 2, 0, 0};
	append(outbox, *row, 1, 3);
	assert_int_equal(outbox_begin(outbox), 0);
	assert_int_equal(outbox_append(outbox, &reading), 0);
	return outbox;
}

static void test_what_is_rolled_back_was_never_there(void **state)
{
	char path[PATH_SIZE];
	int64_t row;
	struct outbox *outbox = open_begun(state, path, &row);
	assert_int_equal(outbox_remove(outbox, row, 1, 2), 0);
	assert_int_equal(outbox_set_low(outbox, row, 3), 0);
	outbox_rollback(outbox);
	assert_streams(outbox, "1 n 0 1-3");
	outbox_rollback(outbox); /* nothing to undo */
	append(outbox, row, 4, 4);
	assert_streams(outbox, "1 n 0 1-4");
	outbox_close(outbox);
}

static void test_what_was_not_committed_is_gone_after_a_kill(void **state)
{
	char path[PATH_SIZE];
	int64_t row;
	struct outbox *outbox = open_begun(state, path, &row);
	outbox_close(outbox);
	outbox = open_outbox(state, path);
	assert_streams(outbox, "1 n 0 1-3");
	outbox_close(outbox);
}

static void test_the_latest_64_streams_without_readings_are_remembered(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct found found = {.n = 0};
	int64_t first = add_stream(outbox, 1, "old");
	append(outbox, first, 1, 1);
	for (unsigned n = 2; n <= 100; n++)
		add_stream(outbox, n, "n");
	assert_int_equal(outbox_streams(outbox, note_stream, &found), 0);
	/* The first has a reading; 37 to 100 are the latest. */
	assert_int_equal(found.n, 65);
	assert_ptr_equal(strstr(found.text, "1 old 0 1-1; 37 n 0; 38 n 0"), found.text);
	assert_int_equal(db_int(path, "SELECT count(*) FROM stream"), 65);
	outbox_close(outbox);
}

static void test_one_publisher_at_a_time_has_the_outbox(void **state)
{
	char path[PATH_SIZE];
	int lock = outbox_lock(path_in(state, "outbox.db", path));
	assert_true(lock >= 0);
	assert_int_equal(outbox_lock(path), -EWOULDBLOCK);
	assert_int_equal(fcntl(lock, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(lock);
	lock = outbox_lock(path);
	assert_true(lock >= 0);
	close(lock);
}

static void test_a_lock_that_cannot_be_made_is_an_error(void **state)
{
	char path[PATH_SIZE];
	static char overlong[5000];
	assert_int_equal(outbox_lock(path_in(state, "absent/outbox.db", path)), -ENOENT);
	memset(overlong, 'x', sizeof(overlong) - 1);
	assert_int_equal(outbox_lock(overlong), -ENAMETOOLONG);
}

/* @return what opening yields; the complaint is about what the test does on purpose */
static int open_fails(const char *path)
{
	struct outbox *outbox = NULL;
	struct capture capture;
	char log[1024];
	capture_begin(&capture, STDERR_FILENO);
	int err = outbox_open(&outbox, path);
	capture_end(&capture, log, sizeof(log));
	assert_null(outbox);
	/* Damage is the caller's to tell, with what becomes of the file. */
	if (err != -EUCLEAN)
		assert_non_null(strstr(log, path));
	return err;
}

/* What a single flipped bit may have made of a reading, and all of it fits. */
static void test_a_reading_that_is_not_as_it_was_written_is_given_up(void **state)
{
	static const struct {
		const char *sql, *streams, *page;
	} changes[] = {
		{"UPDATE reading SET json = CAST(replace(CAST(json AS TEXT), '\"v\":2',"
		 " '\"v\":6') AS BLOB) WHERE seq = 2",
			"1 n 0 1-3", "1 3"},
		{"UPDATE reading SET clock = 0 WHERE seq = 2", "1 n 0 1-1 3-3", "1 3"},
		{"UPDATE reading SET seq = 6 WHERE seq = 2", "1 n 0 1-1 3-3", "1 3"},
		{"UPDATE reading SET sum = sum + (1 << 40) WHERE seq = 2", "1 n 0 1-1 3-3",
			"1 3"},
		{"UPDATE reading SET sum = NULL", "1 n 0 1-3", "1 2 3"},
	};
	for (size_t i = 0; i < LENGTH(changes); i++) {
		char path[PATH_SIZE], seqs[32] = "";
		struct outbox_page page = {.n = 0};
		unlink(path_in(state, "outbox.db", path));
		struct outbox *outbox = open_outbox(state, path);
		int64_t row = add_stream(outbox, 1, "n");
		append(outbox, row, 1, 3);
		outbox_close(outbox);
		db_exec(path, changes[i].sql);
		outbox = open_outbox(state, path);
		assert_streams(outbox, changes[i].streams);
		assert_int_equal(outbox_load(outbox, row, 1, &page), 0);
		for (size_t k = 0; k < page.n; k++)
			snprintf(seqs + strlen(seqs), sizeof(seqs) - strlen(seqs), "%s%d",
				k > 0 ? " " : "", (int)page.readings[k].seq);
		assert_string_equal(seqs, changes[i].page);
		outbox_page_finish(&page);
		outbox_close(outbox);
	}
}

static void test_an_outbox_of_a_newer_version_is_refused(void **state)
{
	char path[PATH_SIZE];
	outbox_close(open_outbox(state, path));
	db_exec(path, "PRAGMA user_version=4");
	assert_int_equal(open_fails(path), -EPROTO);
	assert_int_equal(db_int(path, "PRAGMA user_version"), 4);
}

static void test_what_is_no_outbox_is_refused(void **state)
{
	char path[PATH_SIZE], garbage[8192];
	assert_int_equal(open_fails(path_in(state, "absent/outbox.db", path)), -ENOENT);
	memset(garbage, 'x', sizeof(garbage));
	write_file(path_in(state, "garbage.db", path), garbage, sizeof(garbage));
	assert_int_equal(open_fails(path), -EUCLEAN);
	outbox_close(open_outbox(state, path));
	db_exec(path, "PRAGMA application_id=4711");
	assert_int_equal(open_fails(path), -EPROTO);
}

static void test_a_full_disk_is_reported_and_what_was_there_stays(void **state)
{
	char path[PATH_SIZE], json[1024];
	struct outbox *outbox = open_outbox(state, path);
	struct rlimit limit, small;
	int64_t row = add_stream(outbox, 1, "n");
	int err = 0;
	append(outbox, row, 1, 3);
	memset(json, 'j', sizeof(json));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 200000;
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(outbox_begin(outbox), 0);
	for (uint64_t seq = 4; seq < 1000 && err == 0; seq++) {
		const struct outbox_reading reading = {row, seq, json, sizeof(json), 0, 0};
		err = outbox_append(outbox, &reading);
	}
	if (err == 0)
		err = outbox_commit(outbox);
	outbox_rollback(outbox);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, before);
	assert_int_equal(err, -EIO);
	assert_streams(outbox, "1 n 0 1-3");
	append(outbox, row, 4, 5);
	assert_streams(outbox, "1 n 0 1-5");
	outbox_close(outbox);
}

/* ---- readings without a time ---- */

static void test_what_is_removed_makes_room_and_the_file_shrinks(void **state)
{
	char path[PATH_SIZE];
	static const char json[] = "{\"bn\":\"s/\",\"bt\":1732312345.000007,\"n\":\"t\"}";
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_usage empty, full, after;
	int64_t row = add_stream(outbox, 1, "n");
	assert_int_equal(outbox_usage(outbox, &empty), 0);
	assert_int_equal(empty.oldest_us, 0);
	assert_int_equal(outbox_begin(outbox), 0);
	for (uint64_t seq = 1; seq <= 20000; seq++) {
		const struct outbox_reading reading = {
			row, seq, json, sizeof(json) - 1, 0, 0};
		assert_int_equal(outbox_append(outbox, &reading), 0);
	}
	assert_int_equal(outbox_commit(outbox), 0);
	assert_int_equal(outbox_usage(outbox, &full), 0);
	assert_true(full.bytes > empty.bytes + 20000 * sizeof(json));
	assert_true(full.bytes < empty.bytes + 20000 * (sizeof(json) + 34));
	assert_int_equal(full.oldest_us, INT64_C(1732312345000007));
	take(outbox, row, 1, 20000);
	assert_int_equal(outbox_usage(outbox, &after), 0);
	assert_true(after.bytes <= empty.bytes + 8192);
	assert_true(after.free_pages > 256);
	while (after.free_pages > 0) {
		uint64_t before = after.free_pages;
		assert_int_equal(outbox_shrink(outbox), 0);
		assert_int_equal(outbox_usage(outbox, &after), 0);
		assert_true(after.free_pages < before);
		assert_true(before - after.free_pages <= 256);
	}
	outbox_close(outbox);
	assert_true(
		db_int(path, "PRAGMA page_count") * 4096 <= (int64_t)empty.bytes + 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_new_outbox_is_empty_and_has_a_name_that_lasts),
		IN_DIRECTORY(test_streams_and_their_readings_are_there_after_a_restart),
		IN_DIRECTORY(test_a_stream_keeps_its_row_and_its_node),
		IN_DIRECTORY(test_a_reading_is_kept_once_and_as_it_was_first),
		IN_DIRECTORY(test_removing_takes_a_range_of_one_stream),
		IN_DIRECTORY(test_numbers_go_up_to_two_to_the_53),
		IN_DIRECTORY(test_pages_hold_a_streams_readings_in_order),
		IN_DIRECTORY(test_page_after_page_everything_is_loaded_once),
		IN_DIRECTORY(test_a_page_of_large_readings_holds_fewer),
		IN_DIRECTORY(test_what_is_rolled_back_was_never_there),
		IN_DIRECTORY(test_what_was_not_committed_is_gone_after_a_kill),
		IN_DIRECTORY(test_the_latest_64_streams_without_readings_are_remembered),
		IN_DIRECTORY(test_one_publisher_at_a_time_has_the_outbox),
		IN_DIRECTORY(test_a_lock_that_cannot_be_made_is_an_error),
		IN_DIRECTORY(test_a_reading_that_is_not_as_it_was_written_is_given_up),
		IN_DIRECTORY(test_an_outbox_of_a_newer_version_is_refused),
		IN_DIRECTORY(test_what_is_no_outbox_is_refused),
		IN_DIRECTORY(test_a_full_disk_is_reported_and_what_was_there_stays),
		IN_DIRECTORY(test_what_is_removed_makes_room_and_the_file_shrinks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
