#include "aside.h"
#include "support.h"

#include <sys/stat.h>

#define WHEN_US INT64_C(1795400640000000) /* 2026-11-23 02:24:00 UTC */

static void write_text(void **state, const char *name, const char *text)
{
	char path[PATH_SIZE];
	write_file(path_in(state, name, path), text, strlen(text));
}

static void assert_text(void **state, const char *name, const char *expected)
{
	char path[PATH_SIZE], text[64] = "";
	int fd = open(path_in(state, name, path), O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	assert_string_equal(text, expected);
}

static void assert_absent(void **state, const char *name)
{
	char path[PATH_SIZE];
	assert_int_equal(access(path_in(state, name, path), F_OK), -1);
}

static void test_the_file_and_its_log_get_a_dated_name(void **state)
{
	char path[PATH_SIZE], expected[PATH_SIZE], name[256];
	write_text(state, "o.db", "file");
	write_text(state, "o.db-wal", "log");
	write_text(state, "o.db-shm", "shared");
	write_text(state, "o.db-lock", "lock");
	assert_int_equal(
		dp_set_aside(path_in(state, "o.db", path), WHEN_US, name, sizeof(name)), 0);
	assert_string_equal(
		name, path_in(state, "o.db.corrupt-20261123T022400Z", expected));
	assert_text(state, "o.db.corrupt-20261123T022400Z", "file");
	assert_text(state, "o.db.corrupt-20261123T022400Z-wal", "log");
	assert_text(state, "o.db-lock", "lock");
	assert_absent(state, "o.db");
	assert_absent(state, "o.db-wal");
	assert_absent(state, "o.db-shm");
}

static void test_what_was_set_aside_before_is_never_overwritten(void **state)
{
	char path[PATH_SIZE], name[256];
	path_in(state, "o.db", path);
	write_text(state, "o.db", "first");
	assert_int_equal(dp_set_aside(path, WHEN_US, name, sizeof(name)), 0);
	/* A log that has lost its file keeps its name as well. */
	write_text(state, "o.db.corrupt-20261123T022400Z-1-wal", "stray");
	write_text(state, "o.db", "second");
	write_text(state, "o.db-wal", "log of second");
	assert_int_equal(dp_set_aside(path, WHEN_US, name, sizeof(name)), 0);
	write_text(state, "o.db", "third");
	assert_int_equal(dp_set_aside(path, WHEN_US, name, sizeof(name)), 0);
	assert_text(state, "o.db.corrupt-20261123T022400Z", "first");
	assert_text(state, "o.db.corrupt-20261123T022400Z-1-wal", "stray");
	assert_text(state, "o.db.corrupt-20261123T022400Z-2", "second");
	assert_text(state, "o.db.corrupt-20261123T022400Z-2-wal", "log of second");
	assert_text(state, "o.db.corrupt-20261123T022400Z-1", "third");
}

static void test_what_cannot_be_set_aside_is_an_error(void **state)
{
	char path[PATH_SIZE], name[256], small[16];
	path_in(state, "o.db", path);
	assert_int_equal(dp_set_aside(path, WHEN_US, name, sizeof(name)), -ENOENT);
	write_text(state, "o.db", "file");
	assert_int_equal(dp_set_aside(path, WHEN_US, small, sizeof(small)), -ENAMETOOLONG);
	assert_text(state, "o.db", "file");
}

static void test_a_file_that_was_in_use_is_missed(void **state)
{
	char path[PATH_SIZE], lock_path[PATH_SIZE];
	path_in(state, "o.db", path);
	int lock = open(
		path_in(state, "o.db-lock", lock_path), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	require(lock >= 0);
	assert_int_equal(dp_file_state(lock, path), DP_FILE_FINE);
	write_text(state, "o.db", "");
	assert_int_equal(dp_file_state(lock, path), DP_FILE_FINE);
	assert_int_equal(dp_file_mark(lock), 0);
	assert_int_equal(dp_file_mark(lock), 0);
	assert_text(state, "o.db-lock", "in use\n");
	assert_int_equal(dp_file_state(lock, path), DP_FILE_EMPTIED);
	write_text(state, "o.db", "content");
	assert_int_equal(dp_file_state(lock, path), DP_FILE_FINE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dp_file_state(lock, path), DP_FILE_GONE);
	close(lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_the_file_and_its_log_get_a_dated_name),
		IN_DIRECTORY(test_what_was_set_aside_before_is_never_overwritten),
		IN_DIRECTORY(test_what_cannot_be_set_aside_is_an_error),
		IN_DIRECTORY(test_a_file_that_was_in_use_is_missed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
