#include "sqlite.h"
#include "support.h"

#include <sys/wait.h>

#define ID 0x44507431

static const char *const history[] = {
	"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
	"ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;",
	"CREATE TABLE b (z INTEGER); INSERT INTO b SELECT y FROM a;",
};

static struct dp_schema schema_of(int version)
{
	return (struct dp_schema){.what = "test",
		.application_id = ID,
		.migrations = history,
		.version = version};
}

/* Open, closing at once. What is logged is about what the test does on purpose. */
static int open_as(const char *path, const struct dp_schema *schema, char *log, size_t size)
{
	static char anything;
	sqlite3 *db = (sqlite3 *)(void *)&anything;
	struct capture capture;
	capture_begin(&capture, STDERR_FILENO);
	int err = dp_sqlite_open(&db, path, schema);
	capture_end(&capture, log, size);
	assert_int_equal(err != 0, db == NULL);
	if (err == 0)
		sqlite3_close(db);
	return err;
}

static int open_version(const char *path, int version)
{
	const struct dp_schema schema = schema_of(version);
	char log[1024];
	return open_as(path, &schema, log, sizeof(log));
}

static void test_a_new_file_gets_the_schema_and_the_pragmas(void **state)
{
	char path[PATH_SIZE];
	const struct dp_schema schema = schema_of(3);
	sqlite3 *db;
	int64_t value;
	assert_int_equal(dp_sqlite_open(&db, path_in(state, "a.db", path), &schema), 0);
	static const struct {
		const char *sql;
		int64_t value;
	} pragmas[] = {{"PRAGMA user_version", 3}, {"PRAGMA application_id", ID},
		{"PRAGMA synchronous", 2}, {"PRAGMA auto_vacuum", 2},
		{"SELECT z FROM b", 2}};
	for (size_t i = 0; i < LENGTH(pragmas); i++) {
		assert_int_equal(dp_sqlite_int(db, pragmas[i].sql, &value), 0);
		assert_int_equal(value, pragmas[i].value);
	}
	sqlite3_close(db);
	assert_db_text(path, "PRAGMA journal_mode", "wal");
}

static void test_opening_again_changes_nothing(void **state)
{
	char path[PATH_SIZE];
	path_in(state, "a.db", path);
	assert_int_equal(open_version(path, 2), 0);
	db_exec(path, "UPDATE a SET x = 7");
	assert_int_equal(open_version(path, 2), 0);
	assert_db_text(path, "SELECT x, y FROM a", "7|2");
}

static void test_an_older_file_is_brought_up_to_date_with_its_data(void **state)
{
	char path[PATH_SIZE], log[1024];
	const struct dp_schema schema = schema_of(3);
	path_in(state, "a.db", path);
	assert_int_equal(open_version(path, 1), 0);
	assert_int_equal(db_int(path, "PRAGMA user_version"), 1);
	db_exec(path, "INSERT INTO a VALUES (40)");
	assert_int_equal(open_as(path, &schema, log, sizeof(log)), 0);
	assert_non_null(strstr(log, "from=1 to=3"));
	assert_db_text(path, "SELECT z FROM b ORDER BY z", "2 41");
	assert_int_equal(db_int(path, "PRAGMA user_version"), 3);
}

static void test_a_newer_file_is_refused_and_left_alone(void **state)
{
	char path[PATH_SIZE], log[1024];
	const struct dp_schema schema = schema_of(2);
	path_in(state, "a.db", path);
	assert_int_equal(open_version(path, 3), 0);
	assert_int_equal(open_as(path, &schema, log, sizeof(log)), -EPROTO);
	assert_non_null(strstr(log, "newer version"));
	assert_non_null(strstr(log, path));
	assert_int_equal(db_int(path, "PRAGMA user_version"), 3);
	assert_int_equal(open_version(path, 3), 0);
}

/* A file of someone else: refused, and nothing is added to it. */
static void assert_foreign(void **state, const char *sql)
{
	char path[PATH_SIZE], log[1024], before[256], after[256];
	static const char tables[] = "SELECT name FROM sqlite_schema ORDER BY name";
	const struct dp_schema schema = schema_of(3);
	db_exec(path_in(state, "other.db", path), sql);
	db_text(path, tables, before, sizeof(before));
	assert_int_equal(open_as(path, &schema, log, sizeof(log)), -EPROTO);
	assert_non_null(strstr(log, "another program"));
	db_text(path, tables, after, sizeof(after));
	assert_string_equal(after, before);
	assert_db_text(path, "PRAGMA journal_mode", "delete");
}

static void test_another_programs_file_with_a_version_is_refused(void **state)
{
	assert_foreign(state, "CREATE TABLE theirs (x); PRAGMA user_version=1;");
}

static void test_another_programs_file_with_an_id_is_refused(void **state)
{
	assert_foreign(state, "CREATE TABLE theirs (x); PRAGMA application_id=4711;");
}

static void test_another_programs_file_with_neither_is_refused(void **state)
{
	assert_foreign(state, "CREATE TABLE theirs (x);");
}

static void test_a_failing_migration_leaves_the_file_as_it_was(void **state)
{
	static const char *const broken[] = {
		"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
		"DROP TABLE a; CREATE TABLE c (x);",
		"CREATE TABLE d (x); CREATE NONSENSE;"};
	const struct dp_schema schema = {
		.what = "test", .application_id = ID, .migrations = broken, .version = 3};
	char path[PATH_SIZE], log[1024];
	path_in(state, "a.db", path);
	assert_int_equal(open_version(path, 1), 0);
	assert_int_equal(open_as(path, &schema, log, sizeof(log)), -EIO);
	assert_non_null(strstr(log, "NONSENSE"));
	assert_int_equal(db_int(path, "PRAGMA user_version"), 1);
	assert_db_text(path, "SELECT name FROM sqlite_schema", "a");
	assert_int_equal(open_version(path, 3), 0);
}

static void test_a_version_that_nobody_writes_is_damage(void **state)
{
	char path[PATH_SIZE];
	assert_int_equal(open_version(path_in(state, "a.db", path), 3), 0);
	db_exec(path, "PRAGMA user_version=-2147483645");
	assert_int_equal(open_version(path, 3), -EUCLEAN);
	db_exec(path, "PRAGMA user_version=0");
	assert_int_equal(open_version(path, 3), -EUCLEAN);
}

/* One bit of the header: "unsupported file format" is SQLITE_ERROR, as bad SQL is. */
static void test_a_schema_format_that_sqlite_does_not_know_is_damage(void **state)
{
	char path[PATH_SIZE];
	assert_int_equal(open_version(path_in(state, "a.db", path), 3), 0);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &(char){4 | 1 << 4}, 1, 47), 1);
	close(fd);
	assert_int_equal(open_version(path, 3), -EUCLEAN);
}

static void test_what_is_no_database_is_told_apart_from_what_is_not_there(void **state)
{
	char path[PATH_SIZE], garbage[8192];
	memset(garbage, 'x', sizeof(garbage));
	write_file(path_in(state, "garbage.db", path), garbage, sizeof(garbage));
	assert_int_equal(open_version(path, 1), -EUCLEAN);
	assert_int_equal(open_version(path_in(state, "absent/a.db", path), 1), -ENOENT);
	assert_int_equal(open_version(path_in(state, ".", path), 1), -ENOENT);
}

static void test_an_empty_file_is_a_new_file(void **state)
{
	char path[PATH_SIZE];
	write_file(path_in(state, "a.db", path), "", 0);
	assert_int_equal(open_version(path, 3), 0);
	assert_int_equal(db_int(path, "SELECT z FROM b"), 2);
}

#define PROCESSES 6

/* Open as soon as `gate` is closed, in a process of its own. */
static pid_t open_in_child(const char *path, int gate_read, int gate_write)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	char byte;
	close(gate_write);
	ssize_t n = read(gate_read, &byte, 1);
	const struct dp_schema schema = schema_of(3);
	sqlite3 *db;
	_exit(n != 0 || dp_sqlite_open(&db, path, &schema) != 0);
}

static void test_several_processes_may_make_the_file_at_once(void **state)
{
	char name[32], path[PATH_SIZE];
	for (int round = 0; round < 40; round++) {
		pid_t children[PROCESSES];
		int gate[2], failed = 0;
		snprintf(name, sizeof(name), "%d.db", round);
		path_in(state, name, path);
		assert_int_equal(pipe(gate), 0);
		for (int i = 0; i < PROCESSES; i++)
			children[i] = open_in_child(path, gate[0], gate[1]);
		close(gate[0]);
		close(gate[1]);
		for (int i = 0; i < PROCESSES; i++) {
			int status = -1;
			failed += children[i] < 0 || waitpid(children[i], &status, 0) < 0 ||
				  status != 0;
		}
		assert_int_equal(failed, 0);
		assert_db_text(path, "SELECT x, y, z FROM a, b", "1|2|2");
	}
}

static void test_result_codes_become_errno(void **state)
{
	(void)state;
	static const struct {
		int code, err;
	} cases[] = {{SQLITE_OK, 0}, {SQLITE_ROW, 0}, {SQLITE_DONE, 0},
		{SQLITE_BUSY, -EBUSY}, {SQLITE_BUSY_SNAPSHOT, -EBUSY},
		{SQLITE_LOCKED, -EBUSY}, {SQLITE_FULL, -ENOSPC}, {SQLITE_READONLY, -EROFS},
		{SQLITE_CORRUPT, -EUCLEAN}, {SQLITE_NOTADB, -EUCLEAN},
		{SQLITE_NOMEM, -ENOMEM}, {SQLITE_CANTOPEN, -ENOENT}, {SQLITE_PERM, -EACCES},
		{SQLITE_AUTH, -EACCES}, {SQLITE_IOERR, -EIO}, {SQLITE_IOERR_WRITE, -EIO},
		{SQLITE_ERROR, -EIO}, {SQLITE_CONSTRAINT, -EIO}};
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(dp_sqlite_error(cases[i].code), cases[i].err);
}

static void test_statements_report_rows_and_failures(void **state)
{
	(void)state;
	sqlite3 *db = db_open(":memory:");
	sqlite3_stmt *insert = NULL, *wrong = NULL;
	int64_t value = 99;
	char log[1024];
	struct capture capture;
	assert_int_equal(dp_sqlite_exec(db, "CREATE TABLE a (x INTEGER UNIQUE)"), 0);
	assert_int_equal(dp_sqlite_exec(db, "CREATE TABLE a (x)"), -EIO);
	assert_int_equal(dp_sqlite_int(db, "SELECT x FROM a", &value), -ENOENT);
	assert_int_equal(dp_sqlite_int(db, "SELECT nonsense", &value), -EIO);
	assert_int_equal(value, 99);
	assert_int_equal(dp_sqlite_int(db, "SELECT -9223372036854775807 - 1", &value), 0);
	assert_true(value == INT64_MIN);

	assert_int_equal(dp_sqlite_prepare(db, "INSERT INTO a VALUES (?)", &insert), 0);
	sqlite3_bind_int(insert, 1, 5);
	assert_int_equal(dp_sqlite_run(insert), 0);
	assert_int_equal(dp_sqlite_run(insert), -EIO); /* not unique */
	sqlite3_bind_int(insert, 1, 6);
	assert_int_equal(dp_sqlite_run(insert), 0);
	assert_int_equal(dp_sqlite_int(db, "SELECT sum(x) FROM a", &value), 0);
	assert_int_equal(value, 11);
	sqlite3_finalize(insert);

	capture_begin(&capture, STDERR_FILENO);
	int err = dp_sqlite_prepare(db, "SELECT nonsense", &wrong);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(err, -EIO);
	assert_non_null(strstr(log, "nonsense"));
	sqlite3_close(db);
}

static void test_a_locked_file_is_busy(void **state)
{
	char path[PATH_SIZE];
	const struct dp_schema schema = schema_of(1);
	sqlite3 *db;
	assert_int_equal(dp_sqlite_open(&db, path_in(state, "a.db", path), &schema), 0);
	sqlite3_busy_timeout(db, 0);
	sqlite3 *other = db_lock(path);
	assert_int_equal(dp_sqlite_exec(db, "INSERT INTO a VALUES (2)"), -EBUSY);
	sqlite3_close(other);
	assert_int_equal(dp_sqlite_exec(db, "INSERT INTO a VALUES (2)"), 0);
	sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_new_file_gets_the_schema_and_the_pragmas),
		IN_DIRECTORY(test_opening_again_changes_nothing),
		IN_DIRECTORY(test_an_older_file_is_brought_up_to_date_with_its_data),
		IN_DIRECTORY(test_a_newer_file_is_refused_and_left_alone),
		IN_DIRECTORY(test_another_programs_file_with_a_version_is_refused),
		IN_DIRECTORY(test_another_programs_file_with_an_id_is_refused),
		IN_DIRECTORY(test_another_programs_file_with_neither_is_refused),
		IN_DIRECTORY(test_a_failing_migration_leaves_the_file_as_it_was),
		IN_DIRECTORY(test_a_version_that_nobody_writes_is_damage),
		IN_DIRECTORY(test_a_schema_format_that_sqlite_does_not_know_is_damage),
		IN_DIRECTORY(test_what_is_no_database_is_told_apart_from_what_is_not_there),
		IN_DIRECTORY(test_an_empty_file_is_a_new_file),
		IN_DIRECTORY(test_several_processes_may_make_the_file_at_once),
		cmocka_unit_test(test_result_codes_become_errno),
		cmocka_unit_test(test_statements_report_rows_and_failures),
		IN_DIRECTORY(test_a_locked_file_is_busy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
