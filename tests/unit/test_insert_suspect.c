/* A file that somebody took for damaged, and is looked through before it is set aside. */
#include "aside.h"
#include "ingest_store.h"

#include <sys/file.h>
#include <sys/stat.h>

#define PAGE 4096

/* What the pruner does when it meets damage. */
static void suspect(const struct store *store)
{
	struct stat status;
	require(stat(store->path, &status) == 0);
	assert_int_equal(dp_suspect(store->path, status.st_dev, status.st_ino), 0);
}

static bool is_suspect(const struct store *store)
{
	struct stat status;
	require(stat(store->path, &status) == 0);
	return dp_is_suspect(store->path, status.st_dev, status.st_ino);
}

static void fill(void **state, struct store *store)
{
	store_open(state, store);
	store_batch(store, &(struct batch){.first = 1, .count = 3});
	sqlite_store_close(store->sqlite);
}

/* Readings are not looked through when a file is opened. */
static void spoil_readings(const struct store *store)
{
	char rubbish[PAGE];
	memset(rubbish, 0xff, sizeof(rubbish));
	int64_t page = db_int(
		store->path, "SELECT rootpage FROM sqlite_schema WHERE name = 'reading'");
	int fd = open(store->path, O_WRONLY | O_CLOEXEC);
	require(fd >= 0);
	require(pwrite(fd, rubbish, sizeof(rubbish), (page - 1) * PAGE) == PAGE);
	close(fd);
}

/* Written into the file that is there, as `cp` does: it stays the same file. */
static void copy_in_place(const char *path, const char *from)
{
	static char bytes[1 << 20];
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	ssize_t size = read(fd, bytes, sizeof(bytes));
	close(fd);
	require(size > 0 && size < (ssize_t)sizeof(bytes));
	write_file(path, bytes, (size_t)size);
}

static int64_t file_bytes(const struct store *store)
{
	struct stat status;
	require(stat(store->path, &status) == 0);
	return status.st_size;
}

/* What the store says of itself while SQLite looks through the file. */
static struct sqlite_store *looked_at;
static unsigned looking;

static int on_statement(unsigned what, void *data, void *statement, void *sql)
{
	(void)what, (void)data, (void)statement;
	if (strcmp(sql, "PRAGMA integrity_check(1)") == 0)
		looking += sqlite_store_is_looking(looked_at);
	return 0;
}

static int watch(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
	(void)error, (void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

static int renew_watched(struct store *store, char *log, size_t size)
{
	struct capture capture;
	looked_at = store->sqlite;
	looking = 0;
	sqlite3_auto_extension((void (*)(void))watch);
	capture_begin(&capture, STDERR_FILENO);
	int err = sqlite_store_lease(store->sqlite, &store->fence, NOW_US);
	capture_end(&capture, log, size);
	sqlite3_reset_auto_extension();
	return err;
}

static void test_a_good_copy_in_the_suspected_file_is_kept(void **state)
{
	struct store store;
	char backup[PATH_SIZE], log[4096], size[64];
	fill(state, &store);
	db_copy(store.path, path_in(state, "backup.db", backup));
	spoil_readings(&store);
	suspect(&store);
	copy_in_place(store.path, backup);
	snprintf(size, sizeof(size), "bytes=%lld", (long long)file_bytes(&store));
	store_open(state, &store);
	/* It may have taken minutes: the lease needs the time of then. */
	assert_int_equal(renew_watched(&store, log, sizeof(log)), -EAGAIN);
	assert_non_null(strstr(log, "is looked through"));
	assert_non_null(strstr(log, size));
	assert_false(store.fence.held);
	assert_int_equal(looking, 1);
	assert_false(sqlite_store_is_looking(store.sqlite));
	assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence, NOW_US), 0);
	assert_true(store.fence.held);
	assert_int_equal(set_aside(&store), 0);
	assert_false(is_suspect(&store));
	assert_string_equal(store_batch(&store, &(struct batch){.first = 4, .count = 2}),
		"#0 stored 4+2");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 5);
	sqlite_store_close(store.sqlite);
}

static void test_a_suspected_file_with_damage_is_set_aside(void **state)
{
	struct store store;
	fill(state, &store);
	spoil_readings(&store);
	suspect(&store);
	store_open(state, &store);
	assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence, NOW_US), -EAGAIN);
	assert_int_equal(set_aside(&store), 1);
	assert_false(is_suspect(&store));
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 0);
	sqlite_store_close(store.sqlite);
}

/* Or ingest and who suspects it would go round for ever. */
static void test_a_sound_file_that_is_suspected_again_is_set_aside(void **state)
{
	struct store store;
	char log[4096];
	fill(state, &store);
	store_open(state, &store);
	for (int64_t hours = 0; hours < 2; hours++) {
		suspect(&store);
		assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence,
					 NOW_US + hours * HOUR_US),
			-EAGAIN);
		assert_int_equal(set_aside(&store), 0);
	}
	suspect(&store);
	struct capture capture;
	capture_begin(&capture, STDERR_FILENO);
	int err = sqlite_store_lease(store.sqlite, &store.fence, NOW_US + 2 * HOUR_US - 1);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(err, 0);
	assert_int_equal(set_aside(&store), 1);
	assert_non_null(strstr(log, "within an hour"));
	/* The new one has not been looked through. */
	suspect(&store);
	assert_int_equal(
		sqlite_store_lease(store.sqlite, &store.fence, NOW_US + 2 * HOUR_US - 1),
		-EAGAIN);
	assert_int_equal(set_aside(&store), 1);
	sqlite_store_close(store.sqlite);
}

/* A stop does not wait for a large file: it stays suspect. */
static void test_looking_through_a_file_ends_with_the_service(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.stream = 2, .first = 1, .count = 1000});
	suspect(&store);
	sqlite_store_hurry(store.sqlite);
	assert_int_equal(sqlite_store_lease(store.sqlite, &store.fence, NOW_US), -EIO);
	sqlite_store_close(store.sqlite);
	assert_true(is_suspect(&store));
	assert_int_equal(set_aside(&store), 0);
}

/* It could not be set aside at once, as a replica was using it, and is whole by then. */
static void test_a_good_copy_in_a_file_that_was_found_damaged_is_kept(void **state)
{
	struct store store;
	char lock[PATH_SIZE], backup[PATH_SIZE];
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 3});
	db_copy(store.path, path_in(state, "backup.db", backup));
	db_exec(store.path, "UPDATE stream_interval SET last = 2");
	int fd = open(path_in(state, "broker.db-lock", lock), O_RDWR | O_CLOEXEC);
	require(fd >= 0 && flock(fd, LOCK_SH) == 0);
	struct incoming *in = batch_message(&(struct batch){.first = 1, .count = 3});
	assert_int_equal(store_commit(&store, in, NOW_US), -EBUSY);
	copy_in_place(store.path, backup);
	close(fd);
	assert_string_equal(store_batch(&store, &(struct batch){.first = 1, .count = 4}),
		"#0 stored 1+4");
	assert_int_equal(set_aside(&store), 0);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 4);
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_good_copy_in_the_suspected_file_is_kept),
		IN_DIRECTORY(test_a_suspected_file_with_damage_is_set_aside),
		IN_DIRECTORY(test_a_sound_file_that_is_suspected_again_is_set_aside),
		IN_DIRECTORY(test_looking_through_a_file_ends_with_the_service),
		IN_DIRECTORY(test_a_good_copy_in_a_file_that_was_found_damaged_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
