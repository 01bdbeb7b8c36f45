/* A broker's database whose schema is not what its migrations made: common/schema_check.c.
 */
#include "schema_check.h"
#include "sqlite.h"
#include "store.h"
#include "support.h"

static int open_and_close(const char *path)
{
	char url[PATH_SIZE + 16];
	struct dp_store store;
	snprintf(url, sizeof(url), "sqlite://%s", path);
	int err = dp_store_open(&store, url);
	dp_store_close(&store);
	return err;
}

static void change_schema(
	const char *path, const char *name, const char *from, const char *to)
{
	char sql[256];
	snprintf(sql, sizeof(sql),
		"PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql ="
		" replace(sql, '%s', '%s') WHERE name = '%s' RETURNING 1",
		from, to, name);
	db_exec(path, sql);
}

/* SQLite takes all of these: a key that is no key, another name, another query. */
static void test_a_flipped_bit_in_the_schema_is_damage(void **state)
{
	static const struct {
		const char *name, *from, *to;
	} flips[] = {
		{"sensor", "INTEGER PRIMARY KEY", "INTEGES PRIMARY KEY"},
		{"reading", "clock ", "cloci "},
		{"channel", "unit ", "uniu "},
		{"stream_interval", "sum INTEGER", "sul INTEGER"},
	};
	for (size_t i = 0; i < LENGTH(flips); i++) {
		char path[PATH_SIZE];
		assert_int_equal(open_and_close(path_in(state, "broker.db", path)), 0);
		change_schema(path, flips[i].name, flips[i].from, flips[i].to);
		assert_int_equal(open_and_close(path), -EUCLEAN);
		assert_int_equal(unlink(path), 0);
		char lock[PATH_SIZE];
		assert_int_equal(unlink(path_in(state, "broker.db-lock", lock)), 0);
	}
}

/* Others that have it open go on, with the view that is made anew. */
static void test_a_view_with_flipped_bits_is_made_anew(void **state)
{
	/* The last two are texts that SQLite does not understand. */
	static const struct {
		const char *name, *from, *to;
	} flips[] = {
		{"dht", "topic, temp,", "topic, temq,"},
		{"reading_1h", "3600", "3601"},
		{"dht", "CREATE VIEW", "CREATE WIEW"},
		{"reading_1m", "SELECT", "SEMECT"},
	};
	static const char text[] = "SELECT group_concat(type || name || tbl_name || sql)"
				   " FROM sqlite_schema WHERE type = 'view'";
	char path[PATH_SIZE], before[4096], log[4096];
	struct dp_store other;
	char url[PATH_SIZE + 16];
	assert_int_equal(open_and_close(path_in(state, "broker.db", path)), 0);
	db_text(path, text, before, sizeof(before));
	snprintf(url, sizeof(url), "sqlite://%s", path);
	assert_int_equal(dp_store_open(&other, url), 0);
	for (size_t i = 0; i < LENGTH(flips); i++) {
		struct capture capture;
		change_schema(path, flips[i].name, flips[i].from, flips[i].to);
		capture_begin(&capture, STDERR_FILENO);
		int opened = open_and_close(path);
		capture_end(&capture, log, sizeof(log));
		assert_int_equal(opened, 0);
		assert_db_text(path, text, before);
		assert_non_null(strstr(log, flips[i].to));
		assert_int_equal(dp_store_begin(&other), 0);
		assert_int_equal(dp_sqlite_exec(other.db, "SELECT * FROM dht, reading_1m,"
							  " reading_1h"),
			0);
		assert_int_equal(dp_store_commit(&other), 0);
	}
	dp_store_close(&other);
}

static const char *const migrations[] = {
	"CREATE TABLE t (one INTEGER); CREATE VIEW v AS SELECT one FROM t"};
static const struct dp_schema small = {
	.what = "test", .application_id = 1, .version = 1, .migrations = migrations};

static void assert_view(const char *path, const char *sql)
{
	assert_db_text(path, "SELECT sql FROM sqlite_schema WHERE type = 'view'", sql);
}

/* What it answers may be wrong, but readings are stored all the same. */
static void test_a_view_that_cannot_be_made_anew_now_waits(void **state)
{
	static const char changed[] = "CREATE VIEW v AS SELECT ona FROM t";
	/* Somebody else is writing; or nobody may. */
	static const char *const others[] = {"BEGIN IMMEDIATE", "SELECT 1"};
	static const char *const ours[] = {"SELECT 1", "PRAGMA query_only=1"};
	char path[PATH_SIZE], log[4096];
	sqlite3 *db, *other;
	assert_int_equal(dp_sqlite_open(&db, path_in(state, "x.db", path), &small), 0);
	sqlite3_busy_timeout(db, 0);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	for (size_t i = 0; i < LENGTH(others); i++) {
		struct capture capture;
		change_schema(path, "v", "one", "ona");
		assert_int_equal(dp_sqlite_exec(other, others[i]), 0);
		assert_int_equal(dp_sqlite_exec(db, ours[i]), 0);
		capture_begin(&capture, STDERR_FILENO);
		int checked = dp_schema_check(db, &small, path);
		capture_end(&capture, log, sizeof(log));
		assert_int_equal(checked, 0);
		assert_non_null(strstr(log, "cannot be made anew now"));
		assert_int_equal(dp_sqlite_exec(db, "PRAGMA query_only=0"), 0);
		sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
		assert_view(path, changed);
		assert_int_equal(dp_schema_check(db, &small, path), 0);
		assert_view(path, "CREATE VIEW v AS SELECT one FROM t");
	}
	sqlite3_close(other);
	sqlite3_close(db);
}

static void test_what_people_do_to_the_schema_is_left_to_them(void **state)
{
	static const char additions[] =
		"CREATE TABLE sensor_2 (id INTEGER PRIMARY KEY, room TEXT);"
		"CREATE INDEX reading_by_time ON reading (ts);"
		"CREATE VIEW dht2 AS SELECT * FROM dht";
	static const char *const changes[] = {additions,
		"ALTER TABLE sensor ADD COLUMN room TEXT",
		"DROP VIEW dht; CREATE VIEW dht AS SELECT id, ts FROM reading",
		"DROP VIEW reading_1h", "ANALYZE"};
	char path[PATH_SIZE];
	assert_int_equal(open_and_close(path_in(state, "broker.db", path)), 0);
	for (size_t i = 0; i < LENGTH(changes); i++) {
		db_exec(path, changes[i]);
		assert_int_equal(open_and_close(path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_flipped_bit_in_the_schema_is_damage),
		IN_DIRECTORY(test_a_view_with_flipped_bits_is_made_anew),
		IN_DIRECTORY(test_a_view_that_cannot_be_made_anew_now_waits),
		IN_DIRECTORY(test_what_people_do_to_the_schema_is_left_to_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
