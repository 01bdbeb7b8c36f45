#include "schema_check.h"

#include <errno.h>
#include <string.h>

#include "log.h"

#define DAMAGED_BYTES 4 /* nobody changes so few, and no length */

/* All that a row of sqlite_schema says but for where the rows are. */
static const char objects[] =
	"SELECT type || ' ' || name || ' ' || tbl_name || ' ' || sql, name"
	" FROM sqlite_schema WHERE sql IS NOT NULL";

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

/* What the file has of an object. */
static int find(sqlite3_stmt *expected, sqlite3_stmt *found, enum likeness *best)
{
	int code = SQLITE_ROW;
	*best = OTHER;
	while (*best != EQUAL && (code = sqlite3_step(found)) == SQLITE_ROW) {
		enum likeness likeness = compare(expected, found);
		if (likeness < *best)
			*best = likeness;
	}
	sqlite3_reset(found);
	return dp_sqlite_error(code);
}

static int check_one(sqlite3_stmt *expected, sqlite3_stmt *found, const char *path)
{
	enum likeness likeness;
	int err = find(expected, found, &likeness);
	if (err != 0 || likeness == EQUAL)
		return err;
	const char *name = (const char *)sqlite3_column_text(expected, 1);
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

/* The text is right, and the number of its first page may not be. */
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

int dp_schema_check(sqlite3 *db, const struct dp_schema *schema, const char *path)
{
	sqlite3 *memory = NULL;
	sqlite3_stmt *expected = NULL, *found = NULL;
	int code = SQLITE_DONE, err = make_expected(&memory, schema);
	if (err == 0)
		err = dp_sqlite_prepare(memory, objects, &expected);
	if (err == 0)
		err = dp_sqlite_prepare(db, objects, &found);
	while (err == 0 && (code = sqlite3_step(expected)) == SQLITE_ROW)
		err = check_one(expected, found, path);
	if (err == 0)
		err = dp_sqlite_error(code);
	if (err == 0)
		err = check_pages(db, path);
	if (err != 0 && err != -EUCLEAN && err != -EBUSY)
		dp_log(DP_LOG_ERROR, "the schema cannot be looked at",
			"file=%s error=\"%s\"", path, strerror(-err));
	sqlite3_finalize(found);
	sqlite3_finalize(expected);
	sqlite3_close(memory);
	return err;
}
