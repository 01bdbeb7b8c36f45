#include <dirent.h>

#include "sqlite.h"
#include "store.h"
#include "support.h"

#define NOW_US INT64_C(1800000000000000)

/* A database of the store in the test's directory. */
static struct dp_store open_store(void **state, char path[PATH_SIZE])
{
	static char url[PATH_SIZE + 16];
	struct dp_store store;
	snprintf(url, sizeof(url), "sqlite://%s", path_in(state, "broker.db", path));
	assert_null(dp_check_store_url(url));
	assert_int_equal(dp_store_open(&store, url), 0);
	return store;
}

static void test_a_store_is_an_absolute_file(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "/data/broker.db", "sqlite://", "sqlite:///",
		"sqlite://broker.db", "sqlite:/data/broker.db", "SQLITE:///a",
		"postgres://host/db", " sqlite:///a"};
	assert_null(dp_check_store_url("sqlite:///data/broker.db"));
	assert_null(dp_check_store_url("sqlite:///a"));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_non_null(dp_check_store_url(bad[i]));
}

static void test_the_database_is_as_its_readers_expect_it(void **state)
{
	char path[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	dp_store_close(&store);
	assert_int_equal(db_int(path, "PRAGMA user_version"), 4);
	assert_int_equal(db_int(path, "PRAGMA application_id"), 0x44506277);
	assert_db_text(path,
		"SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER "
		"BY name",
		"table|channel table|dead_letter view|dht table|late table|lease "
		"table|lost table|next_id table|reading view|reading_1h view|reading_1m "
		"table|retention table|rollup table|sensor table|store table|stream "
		"table|stream_interval");
	assert_db_text(path, "SELECT name FROM pragma_table_info('dht')",
		"id topic temp humidity");
}

static int64_t asked(const struct dp_store *store, const char *sql)
{
	int64_t value = -1;
	assert_int_equal(dp_sqlite_int(store->db, sql, &value), 0);
	return value;
}

static void test_a_new_file_has_small_pages_and_an_older_one_keeps_its_own(void **state)
{
	char path[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	assert_int_equal(asked(&store, "PRAGMA page_size"), 2048);
	assert_int_equal(asked(&store, "PRAGMA wal_autocheckpoint"), 6000);
	assert_int_equal(asked(&store, "PRAGMA auto_vacuum"), 2);
	assert_int_equal(dp_sqlite_exec(store.db,
				 "PRAGMA journal_mode=DELETE; PRAGMA page_size=4096;"
				 "VACUUM"),
		0);
	dp_store_close(&store);
	store = open_store(state, path);
	assert_int_equal(asked(&store, "PRAGMA page_size"), 4096);
	assert_int_equal(asked(&store, "PRAGMA wal_autocheckpoint"), 3000);
	dp_store_close(&store);
}

static void test_the_papers_query_shows_readings_in_the_order_they_came(void **state)
{
	char path[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	dp_store_close(&store);
	db_exec(path, "INSERT INTO sensor VALUES (1, '/data/raspberrypi4', 'climate', 0),"
		      " (2, '/data/orangepi0', '', 0), (3, '/data/orangepi0', 'light', 0);"
		      "INSERT INTO reading (sensor, ts, id, clock, temperature, humidity, "
		      "v2) VALUES"
		      " (2, 50, 14, 0, 25.7, 59.8, NULL), (1, 99, 1, 0, 25.0, 72.0, NULL),"
		      " (1, 10, 15, 0, NULL, 70.5, NULL), (3, 60, 16, 0, NULL, NULL, 400)");
	assert_db_text(path, "SELECT * FROM dht",
		"1|/data/raspberrypi4|25.0|72.0 14|/data/orangepi0|25.7|59.8 "
		"15|/data/raspberrypi4|NULL|70.5");
}

/* ---- transactions, and a file that is replaced under them ---- */

#define NODE "INSERT INTO sensor (topic, name) VALUES ('/data/a', 's')"
#define SENSORS "SELECT count(*) FROM sensor"

static int write_one(struct dp_store *store)
{
	int err = dp_store_begin(store);
	if (err != 0)
		return err;
	err = dp_sqlite_error(sqlite3_exec(store->db, NODE, NULL, NULL, NULL));
	if (err == 0)
		return dp_store_commit(store);
	dp_store_rollback(store);
	return err;
}

static struct dp_store again(const struct dp_store *store)
{
	struct dp_store other;
	char url[PATH_SIZE + 16];
	snprintf(url, sizeof(url), "sqlite://%s", store->path);
	assert_int_equal(dp_store_open(&other, url), 0);
	other.path = store->path;
	return other;
}

/* The files of the directory whose name begins with broker.db.corrupt. */
static unsigned set_aside(void **state)
{
	DIR *directory = opendir(*state);
	unsigned n = 0;
	const struct dirent *entry;
	require(directory != NULL);
	while ((entry = readdir(directory)) != NULL) {
		bool is = strncmp(entry->d_name, "broker.db.corrupt-", 18) == 0;
		n += is && strstr(entry->d_name, "-wal") == NULL;
	}
	closedir(directory);
	return n;
}

static void test_a_transaction_is_whole_or_nothing(void **state)
{
	char path[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	assert_int_equal(write_one(&store), 0);
	assert_int_equal(write_one(&store), -EIO); /* the name is taken */
	assert_int_equal(db_int(path, SENSORS), 1);
	assert_int_equal(dp_store_begin(&store), 0);
	db_exec(path, SENSORS);
	dp_store_rollback(&store);
	dp_store_close(&store);
}

static void test_a_file_that_was_replaced_is_not_written_to(void **state)
{
	char path[PATH_SIZE], away[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	assert_int_equal(rename(path, path_in(state, "away.db", away)), 0);
	assert_int_equal(write_one(&store), -ESTALE);
	assert_int_equal(dp_store_reopen(&store), 0);
	assert_int_equal(write_one(&store), 0);
	dp_store_close(&store);
	assert_int_equal(db_int(path, SENSORS), 1);
}

/* Its users' memory of it must not become the next one's. */
static void test_a_database_that_was_deleted_leaves_nothing(void **state)
{
	char path[PATH_SIZE], shared[PATH_SIZE + 8];
	struct stat before, after;
	struct dp_store a = open_store(state, path), b = again(&a);
	assert_int_equal(write_one(&a), 0);
	snprintf(shared, sizeof(shared), "%s-shm", path);
	int held = open(shared, O_RDONLY | O_CLOEXEC);
	require(held >= 0 && fstat(held, &before) == 0);
	assert_int_equal(dp_store_begin(&a), 0);
	assert_int_equal(unlink(path), 0);
	/* Not while somebody is still writing to the old one. */
	assert_int_equal(dp_store_begin(&b), -ESTALE);
	assert_int_equal(dp_store_reopen(&b), -EBUSY);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(dp_store_commit(&a), 0);
	assert_int_equal(dp_store_reopen(&b), 0);
	assert_int_equal(write_one(&b), 0);
	assert_int_equal(stat(shared, &after), 0);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(dp_store_begin(&a), -ESTALE);
	assert_int_equal(dp_store_reopen(&a), 0);
	assert_int_equal(db_int(path, SENSORS), 1);
	close(held);
	dp_store_close(&a);
	dp_store_close(&b);
}

static void test_of_two_only_one_sets_a_damaged_file_aside(void **state)
{
	char path[PATH_SIZE];
	struct dp_store a = open_store(state, path), b = again(&a);
	assert_int_equal(write_one(&a), 0);
	assert_int_equal(dp_store_replace(&a, NOW_US), 0);
	assert_int_equal(set_aside(state), 1);
	assert_int_equal(write_one(&b), -ESTALE);
	/* It found the same damage, but too late. */
	assert_int_equal(dp_store_replace(&b, NOW_US), 0);
	assert_int_equal(set_aside(state), 1);
	assert_int_equal(write_one(&b), 0);
	assert_int_equal(db_int(path, SENSORS), 1);
	dp_store_close(&a);
	dp_store_close(&b);
}

static void test_a_file_in_a_transaction_is_not_set_aside(void **state)
{
	char path[PATH_SIZE];
	struct dp_store a = open_store(state, path), b = again(&a);
	assert_int_equal(dp_store_begin(&a), 0);
	assert_int_equal(dp_store_replace(&b, NOW_US), -EBUSY);
	assert_int_equal(set_aside(state), 0);
	assert_int_equal(dp_store_commit(&a), 0);
	assert_int_equal(dp_store_replace(&b, NOW_US), 0);
	assert_int_equal(set_aside(state), 1);
	dp_store_close(&a);
	dp_store_close(&b);
}

/* A lock in a file that is gone would keep nobody away. */
static void test_a_lock_file_that_was_deleted_is_made_anew(void **state)
{
	char path[PATH_SIZE], lock[PATH_SIZE];
	struct stat status;
	struct dp_store a = open_store(state, path), b = again(&a);
	assert_int_equal(unlink(path_in(state, "broker.db-lock", lock)), 0);
	assert_int_equal(write_one(&a), -ESTALE);
	assert_int_equal(dp_store_reopen(&a), 0);
	assert_int_equal(dp_store_begin(&a), 0);
	/* The other one comes to the same file, and finds it locked. */
	assert_int_equal(dp_store_replace(&b, NOW_US), -EBUSY);
	assert_int_equal(dp_store_commit(&a), 0);
	assert_int_equal(dp_store_reopen(&b), 0);
	assert_int_equal(write_one(&b), 0);
	/* It says again that the database was in use. */
	assert_int_equal(stat(lock, &status), 0);
	assert_true(status.st_size > 0);
	dp_store_close(&a);
	dp_store_close(&b);
}

static void test_a_store_that_was_closed_can_be_opened_again(void **state)
{
	char path[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	dp_store_close(&store);
	assert_int_equal(dp_store_begin(&store), -ESTALE);
	assert_int_equal(dp_store_reopen(&store), 0);
	assert_int_equal(write_one(&store), 0);
	dp_store_close(&store);
	assert_int_equal(dp_store_replace(&store, NOW_US), 0);
	assert_int_equal(set_aside(state), 1);
	assert_int_equal(write_one(&store), 0);
	dp_store_close(&store);
}

static void test_damage_is_found_when_opening(void **state)
{
	static const struct {
		const char *what;
		size_t at, len;
	} damages[] = {{"header", 0, 100}, {"schema page", 100, 3000}};
	for (size_t i = 0; i < LENGTH(damages); i++) {
		char path[PATH_SIZE], garbage[4096];
		struct dp_store store = open_store(state, path);
		dp_store_close(&store);
		memset(garbage, 'x', sizeof(garbage));
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		require(fd >= 0);
		assert_int_equal(pwrite(fd, garbage, damages[i].len, (off_t)damages[i].at),
			damages[i].len);
		close(fd);
		char url[PATH_SIZE + 16];
		snprintf(url, sizeof(url), "sqlite://%s", path);
		assert_int_equal(dp_store_open(&store, url), -EUCLEAN);
		assert_int_equal(dp_store_replace(&store, NOW_US), 0);
		assert_int_equal(set_aside(state), i + 1);
		assert_int_equal(write_one(&store), 0);
		dp_store_close(&store);
	}
}

static void test_a_database_without_content_was_damaged(void **state)
{
	char path[PATH_SIZE], url[PATH_SIZE + 16];
	struct dp_store store = open_store(state, path);
	dp_store_close(&store);
	assert_int_equal(truncate(path, 0), 0);
	snprintf(url, sizeof(url), "sqlite://%s", path);
	assert_int_equal(dp_store_open(&store, url), -EUCLEAN);
	dp_store_close(&store);
	/* One that nobody ever used is only new. */
	char lock[PATH_SIZE];
	assert_int_equal(unlink(path_in(state, "broker.db-lock", lock)), 0);
	store = open_store(state, path);
	dp_store_close(&store);
}

static void test_a_newer_version_at_work_is_noticed(void **state)
{
	char path[PATH_SIZE];
	struct dp_store store = open_store(state, path);
	assert_int_equal(write_one(&store), 0);
	db_exec(path, "PRAGMA user_version=99");
	assert_int_equal(write_one(&store), -EPROTO);
	assert_int_equal(db_int(path, SENSORS), 1);
	dp_store_close(&store);
	dp_store_close(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_store_is_an_absolute_file),
		IN_DIRECTORY(
			test_a_new_file_has_small_pages_and_an_older_one_keeps_its_own),
		IN_DIRECTORY(test_a_transaction_is_whole_or_nothing),
		IN_DIRECTORY(test_a_file_that_was_replaced_is_not_written_to),
		IN_DIRECTORY(test_a_database_that_was_deleted_leaves_nothing),
		IN_DIRECTORY(test_of_two_only_one_sets_a_damaged_file_aside),
		IN_DIRECTORY(test_a_file_in_a_transaction_is_not_set_aside),
		IN_DIRECTORY(test_a_lock_file_that_was_deleted_is_made_anew),
		IN_DIRECTORY(test_a_store_that_was_closed_can_be_opened_again),
		IN_DIRECTORY(test_damage_is_found_when_opening),
		IN_DIRECTORY(test_a_database_without_content_was_damaged),
		IN_DIRECTORY(test_a_newer_version_at_work_is_noticed),
		IN_DIRECTORY(test_the_database_is_as_its_readers_expect_it),
		IN_DIRECTORY(test_the_papers_query_shows_readings_in_the_order_they_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
