#include "schema_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define DAMAGED_BYTES 4 /* nobody changes so few, and no length */
#define BUSY_TIMEOUT_MS 1000

/* What sqlite_schema says of each object, without the number of its first page. */
static const char objects[] =
	"SELECT type || ' ' || name || ' ' || tbl_name || ' ' || sql, name, rowid"
	" FROM sqlite_schema WHERE sql IS NOT NULL";
static const char expected_views[] =
	"SELECT type || ' ' || name || ' ' || tbl_name || ' ' || sql, name, sql"
	" FROM sqlite_schema WHERE type = 'view'";

enum likeness { EQUAL, DAMAGED, OTHER };

static enum likeness compare(sqlite3_stmt *one, sqlite3_stmt *other)
{
	int len = sqlite3_column_bytes(one, 0);
	if (sqlite3_column_bytes(other, 0) != len)
		return OTHER;
	const unsigned char *a = sqlite3_column_text(one, 0);
	const unsigned char *b = sqlite3_column_text(other, 0);
	int differing = 0;
	for (int i = 0; i < len && a != NULL && b != NULL; i++)
		differing += a[i] != b[i];
	if (a == NULL || b == NULL || differing > DAMAGED_BYTES)
		return OTHER;
	return differing == 0 ? EQUAL : DAMAGED;
}

/* What the file has of an object. @param row  of sqlite_schema, the likest */
static int find(
	sqlite3_stmt *expected, sqlite3_stmt *found, enum likeness *best, int64_t *row)
{
	int code = SQLITE_ROW;
	*best = OTHER;
	while (*best != EQUAL && (code = sqlite3_step(found)) == SQLITE_ROW) {
		enum likeness likeness = compare(expected, found);
		if (likeness < *best) {
			*best = likeness;
			*row = sqlite3_column_int64(found, 2);
		}
	}
	sqlite3_reset(found);
	return dp_sqlite_error(code);
}

static bool is_view(sqlite3_stmt *expected)
{
	const char *text = (const char *)sqlite3_column_text(expected, 0);
	return text != NULL && strncmp(text, "view ", 5) == 0;
}

/* @param views  counts those that are to be made anew */
static int check_one(
	sqlite3_stmt *expected, sqlite3_stmt *found, const char *path, int *views)
{
	enum likeness likeness;
	int64_t row = 0;
	int err = find(expected, found, &likeness, &row);
	if (err != 0 || likeness == EQUAL)
		return err;
	const char *name = (const char *)sqlite3_column_text(expected, 1);
	if (likeness == DAMAGED && is_view(expected)) {
		++*views;
		return 0;
	}
	if (likeness == DAMAGED) {
		dp_log(DP_LOG_ERROR,
			"a few bits of the schema are not as they were written",
			"file=%s object=%s", path, name);
		return -EUCLEAN;
	}
	dp_log(DP_LOG_WARN, "somebody has changed the schema; what uses this may fail",
		"file=%s object=%s", path, name);
	return 0;
}

static int make_expected(sqlite3 **memory, const struct dp_schema *schema)
{
	int err = dp_sqlite_error(sqlite3_open_v2(":memory:", memory,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
	for (int i = 0; err == 0 && i < schema->version; i++)
		err = dp_sqlite_exec(*memory, schema->migrations[i]);
	return err;
}

/* Two tables or indexes with the same first page: one of the numbers is wrong. */
static int check_pages(sqlite3 *db, const char *path)
{
	int64_t shared = 0;
	int err = dp_sqlite_int(db,
		"SELECT count(*) - count(DISTINCT rootpage) FROM sqlite_schema"
		" WHERE rootpage > 0",
		&shared);
	if (err != 0 || shared == 0)
		return err;
	dp_log(DP_LOG_ERROR, "two tables of the database have the same pages", "file=%s",
		path);
	return -EUCLEAN;
}

/* ---- views ---- */

/* Views hold no data: one that a few bits have changed is made anew. What it said is
 * logged, as it may have been somebody, not the card. */
static int log_view(sqlite3 *db, int64_t row, const char *name, const char *path)
{
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_prepare(
		db, "SELECT sql FROM sqlite_schema WHERE rowid = ?1", &statement);
	if (err == 0)
		sqlite3_bind_int64(statement, 1, row);
	int code = err == 0 ? sqlite3_step(statement) : SQLITE_DONE;
	if (code == SQLITE_ROW)
		dp_log(DP_LOG_WARN,
			"a few bits of a view were not as they were written, and it is "
			"made anew; one of your own needs a name of its own",
			"file=%s object=%s was=\"%.600s\"", path, name,
			(const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return err != 0 ? err : dp_sqlite_error(code);
}

static int mend_view(sqlite3 *db, sqlite3_stmt *expected, int64_t row, const char *path)
{
	sqlite3_stmt *statement = NULL;
	const char *name = (const char *)sqlite3_column_text(expected, 1);
	const char *sql = (const char *)sqlite3_column_text(expected, 2);
	int err = log_view(db, row, name, path);
	if (err == 0)
		err = dp_sqlite_prepare(db,
			"UPDATE sqlite_schema SET type = 'view', name = ?1, tbl_name = ?1,"
			" rootpage = 0, sql = ?2 WHERE rowid = ?3",
			&statement);
	if (err == 0) {
		sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, sql, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, row);
		err = dp_sqlite_run(statement);
	}
	sqlite3_finalize(statement);
	return err;
}

/* @param mend  or else only look @return how many views are damaged, or an error */
static int each_view(
	sqlite3 *db, const struct dp_schema *schema, const char *path, bool mend)
{
	sqlite3 *memory = NULL;
	sqlite3_stmt *expected = NULL, *found = NULL;
	int code = SQLITE_DONE, n = 0, err = make_expected(&memory, schema);
	if (err == 0)
		err = dp_sqlite_prepare(memory, expected_views, &expected);
	if (err == 0)
		err = dp_sqlite_error(sqlite3_prepare_v2(db, objects, -1, &found, NULL));
	while (err == 0 && (code = sqlite3_step(expected)) == SQLITE_ROW) {
		enum likeness likeness;
		int64_t row = 0;
		err = find(expected, found, &likeness, &row);
		n += err == 0 && likeness == DAMAGED;
		if (err == 0 && likeness == DAMAGED && mend)
			err = mend_view(db, expected, row, path);
	}
	if (err == 0)
		err = dp_sqlite_error(code);
	sqlite3_finalize(found);
	sqlite3_finalize(expected);
	sqlite3_close(memory);
	return err != 0 ? err : n;
}

/* In a transaction. All connections read the schema anew when its version is another. */
static int mend_all(sqlite3 *db, const struct dp_schema *schema, const char *path)
{
	char sql[64];
	int64_t version = 0;
	int n = each_view(db, schema, path, true);
	int err = n < 0 ? n : dp_sqlite_int(db, "PRAGMA schema_version", &version);
	snprintf(sql, sizeof(sql), "PRAGMA schema_version=%d", (int)(version + 1));
	if (err == 0)
		err = dp_sqlite_exec(db, sql);
	return err != 0 ? err : n;
}

static int mend_views(sqlite3 *db, const struct dp_schema *schema, const char *path)
{
	int n = each_view(db, schema, path, false);
	if (n <= 0)
		return n;
	int err = dp_sqlite_exec(db, "PRAGMA writable_schema=ON; BEGIN IMMEDIATE");
	if (err == 0) {
		n = mend_all(db, schema, path);
		err = n < 0 ? n : dp_sqlite_exec(db, "COMMIT");
	}
	if (err != 0 && sqlite3_get_autocommit(db) == 0)
		dp_sqlite_exec(db, "ROLLBACK");
	int reset = dp_sqlite_exec(db, "PRAGMA writable_schema=RESET");
	err = err != 0 ? err : reset;
	return err != 0 ? err : n;
}

int dp_schema_mend_file(const char *path, const struct dp_schema *schema)
{
	sqlite3 *db = NULL;
	int n = dp_sqlite_error(sqlite3_open_v2(
		path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
	sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
	/* With it SQLite passes over texts that it does not understand. */
	if (n == 0)
		n = dp_sqlite_exec(db, "PRAGMA writable_schema=ON");
	if (n == 0)
		n = mend_views(db, schema, path);
	sqlite3_close(db);
	return n;
}

/*
 * Views of a file that could be opened, so all of them can be used, though one may answer
 * wrongly. Readings do not wait for it: when there is no room, or somebody else is writing,
 * the next opening tries again.
 */
static int mend_or_go_on(sqlite3 *db, const struct dp_schema *schema, const char *path)
{
	int n = mend_views(db, schema, path);
	if (n != -ENOSPC && n != -EBUSY && n != -EROFS)
		return n < 0 ? n : 0;
	dp_log(DP_LOG_WARN,
		"a few bits of a view are not as they were written, and it cannot be made "
		"anew now; the next start tries again",
		"file=%s error=\"%s\"", path, strerror(-n));
	return 0;
}

/* ---- all of it ---- */

int dp_schema_check(sqlite3 *db, const struct dp_schema *schema, const char *path)
{
	sqlite3 *memory = NULL;
	sqlite3_stmt *expected = NULL, *found = NULL;
	int code = SQLITE_DONE, views = 0, err = make_expected(&memory, schema);
	if (err == 0)
		err = dp_sqlite_prepare(memory, objects, &expected);
	if (err == 0)
		err = dp_sqlite_prepare(db, objects, &found);
	while (err == 0 && (code = sqlite3_step(expected)) == SQLITE_ROW)
		err = check_one(expected, found, path, &views);
	if (err == 0)
		err = dp_sqlite_error(code);
	if (err == 0)
		err = check_pages(db, path);
	if (err == 0 && views > 0)
		err = mend_or_go_on(db, schema, path);
	if (err != 0 && err != -EUCLEAN && err != -EBUSY)
		dp_log(DP_LOG_ERROR, "the schema cannot be looked at",
			"file=%s error=\"%s\"", path, strerror(-err));
	sqlite3_finalize(found);
	sqlite3_finalize(expected);
	sqlite3_close(memory);
	return err;
}
