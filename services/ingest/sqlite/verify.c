#include "verify.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "sums.h"

#define PROGRESS_STEPS 1000 /* of SQLite, some tens of microseconds */

/* Each is looked up by an index, which is held against its rows: a row that is not found
 * would be added again, and what belongs to it be stored again. */
static const char *const checks[] = {
	"PRAGMA integrity_check(sensor)",
	"PRAGMA integrity_check(channel)",
	"PRAGMA integrity_check(stream)",
	"PRAGMA integrity_check(stream_interval)",
};

static int damaged(const char *path, const char *what)
{
	dp_log(DP_LOG_ERROR, "a check of the database has failed", "file=%s error=\"%s\"",
		path, what);
	return -EUCLEAN;
}

/* @return 1 there is a row, 0 there is none any more, or an error, logged */
static int next_row(sqlite3 *db, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);
	int err = dp_sqlite_error(code);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "the database cannot be looked through",
			"error=\"%s\"", sqlite3_errmsg(db));
	return err != 0 ? err : code == SQLITE_ROW;
}

static int check(sqlite3 *db, const char *sql, const char *path)
{
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_prepare(db, sql, &statement);
	int found = err == 0 ? next_row(db, statement) : err;
	const unsigned char *said = found == 1 ? sqlite3_column_text(statement, 0) : NULL;
	if (found < 0)
		err = found;
	else if (said == NULL)
		err = -ENOMEM;
	else if (strcmp((const char *)said, "ok") != 0)
		err = damaged(path, (const char *)said);
	sqlite3_finalize(statement);
	return err;
}

/* Of all streams: a wrong number may have moved an interval from one to another. */
static int check_intervals(sqlite3 *db, const char *path)
{
	sqlite3_stmt *statement = NULL;
	int found,
		err = dp_sqlite_prepare(db,
			"SELECT stream, first, last, sum FROM stream_interval", &statement);
	while (err == 0 && (found = next_row(db, statement)) != 0) {
		int64_t sum = sum_of_interval(sqlite3_column_int64(statement, 0),
			(uint64_t)sqlite3_column_int64(statement, 1),
			(uint64_t)sqlite3_column_int64(statement, 2));
		err = found < 0 ? found : 0;
		if (err == 0 && !sum_is(statement, 3, sum))
			err = damaged(path, "a checksum in stream_interval is wrong");
	}
	sqlite3_finalize(statement);
	return err;
}

int verify_tables(sqlite3 *db, const char *path)
{
	int err = 0;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && err == 0; i++)
		err = check(db, checks[i], path);
	return err != 0 ? err : check_intervals(db, path);
}

static int on_progress(void *stop)
{
	return atomic_load((atomic_bool *)stop);
}

int verify_all(sqlite3 *db, const char *path, atomic_bool *stop)
{
	sqlite3_progress_handler(db, PROGRESS_STEPS, on_progress, stop);
	/* It ends at the first thing that it finds. */
	int err = check(db, "PRAGMA integrity_check(1)", path);
	sqlite3_progress_handler(db, 0, NULL, NULL);
	return err;
}
