/* The prepared statements of an SQLite store, whose texts stand in statements.c. */
#ifndef INGEST_SQLITE_STATEMENTS_H
#define INGEST_SQLITE_STATEMENTS_H

#include "sqlite.h"

enum statement {
	FIND_SENSOR,
	ADD_SENSOR,
	ADD_CHANNEL,
	ADD_READINGS,
	ADD_WIDE_READINGS,
	FIND_STREAM,
	ADD_STREAM,
	SEEN_STREAM,
	LOST_STREAM,
	ADD_INTERVAL,
	SET_INTERVAL,
	DROP_INTERVAL,
	COUNT_GAPS,
	ADD_LOST,
	ADD_DEAD,
	TRIM_DEAD,
	FIND_LEASE,
	NEXT_ID,
	LARGEST_ID,
	ADD_LATE,
	SET_NEXT_ID,
	STATEMENTS
};

/** All zero while the database is not open. */
struct statements {
	sqlite3_stmt *at[STATEMENTS];
};

/** Prepare all, after rows_register(). @return as dp_sqlite_prepare(): finalize them */
int statements_prepare(struct statements *statements, sqlite3 *db);
void statements_finalize(struct statements *statements);

/** Bind integers in order, and run it: it yields no row. @return as dp_sqlite_run() */
int statements_run(
	struct statements *statements, enum statement which, int n, const int64_t *values);

#endif
