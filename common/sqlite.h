/*
 * SQLite as the services use it: one way to open, one way to migrate, errors as
 * negative errno. Every call may wait for the disk: not for the loop thread once
 * the loop runs.
 */
#ifndef DP_SQLITE_H
#define DP_SQLITE_H

#include <stdint.h>

#include <sqlite3.h>

/** A schema's history: migrations[i] takes user_version i to i + 1. */
struct dp_schema {
	const char *what; /**< "database", "outbox": for messages */
	int32_t application_id;
	const char *const *migrations;
	int version;	/**< how many there are */
	int page_bytes; /**< of a new file; 0: SQLite's own, 4096 */
};

/**
 * Open (or create) a file in WAL mode with synchronous FULL and bring its schema up
 * to date. Several processes may do so at once. Logs what is wrong, but for -EUCLEAN and
 * -EBUSY: another process has kept it locked for more than a second.
 * @param out  closed by the caller with sqlite3_close(); NULL on failure
 * @return 0; -EPROTO a newer or another program's file; otherwise as dp_sqlite_error()
 */
int dp_sqlite_open(sqlite3 **out, const char *path, const struct dp_schema *schema);

/** A result code as errno: -EBUSY, -ENOSPC, -EROFS, -EUCLEAN (corrupt), -ENOMEM, -EIO, ...
 */
int dp_sqlite_error(int code);

/** Run statements without results. @return 0 or as dp_sqlite_error() */
int dp_sqlite_exec(sqlite3 *db, const char *sql);

/** Run one statement that yields one integer. @return 0; -ENOENT no row; as above */
int dp_sqlite_int(sqlite3 *db, const char *sql, int64_t *out);

/**
 * Prepare a statement that is kept. The text is ours: a failure is logged.
 * @return 0 or as dp_sqlite_error()
 */
int dp_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out);

/**
 * Step a statement that yields no row, and reset it.
 * @return 0 or as dp_sqlite_error()
 */
int dp_sqlite_run(sqlite3_stmt *statement);

#endif
