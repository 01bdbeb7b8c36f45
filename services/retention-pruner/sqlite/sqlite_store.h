/*
 * A store in a file of SQLite, as the parts of this folder share it. Types only.
 *
 * What their functions have in common: they are called on the work queue, one at a time.
 * The store stays the caller's; a `void *store` is a struct sqlite_store. They return 0, or
 * what their header says, or a negative errno as dp_sqlite_error(). A step is one
 * transaction of its own, begun with dp_store_begin(), so it may also return what that
 * does; after an error all of it is rolled back, and the next call does it again.
 */
#ifndef PRUNER_SQLITE_STORE_H
#define PRUNER_SQLITE_STORE_H

#include "../cut.h"
#include "../job.h"
#include "sqlite.h"
#include "store.h"

/* The prepared statements; their texts are in statements.c. */
enum sqlite_statement {
	NEXT_SENSOR,
	ALL_SENSORS,
	READ_STATE,
	SET_MARK,
	SET_CURSOR,
	SET_RUN,
	ADD_REMOVED,
	UNCOUNTED,
	WIDTH,
	SCAN,
	SCAN_WIDE,
	ADD_BUCKET,
	NEXT_LATE,
	LEAVE_LATE,
	SET_LATE,
	DROP_LATE,
	FORGET_LATE,
	FIND_BOUND,
	DELETE_BEFORE,
	DELETE_TO,
	DELETE_AHEAD,
	COUNT_DUE,
	COUNT_KEPT,
	OLDEST,
	NEWEST,
	NEXT_SIZE,
	NEXT_SERIES,
	FIND_ROLLUP_BOUND,
	DELETE_ROLLUPS,
	COUNT_ROLLUPS_DUE,
	COUNT_ROLLUPS_KEPT,
	OLDEST_ROLLUP,
	STREAM_KEPT,
	SQLITE_STATEMENTS
};

/* The row of `retention`, and the next reading's id. */
struct sqlite_state {
	int64_t since_us, until_us, before_id;
	int64_t sensor, ts_us, id;
	int64_t removed, run_wall_us, run_boot_us;
	char run_boot_id[40];
	int64_t next_id;
};

struct sqlite_store {
	struct dp_store file;
	sqlite3_stmt *statements[SQLITE_STATEMENTS];
	int64_t page_bytes;
	int wal_pages; /* of the log, after our last commit */
	int wal_seen;  /* when it was last written into the file */

	struct job *job;	       /* the run's */
	int64_t changes;	       /* of rows on this connection, before the run */
	int64_t uncounted;	       /* the sensor with which counting failed */
	char uncounted_why[128];       /* in SQLite's words: a rollback forgets them */
	int64_t sensor;		       /* at hand, 0 before the first */
	const struct policy *policy;   /* of it */
	int64_t size_s, series_sensor; /* rollups at hand */
	int64_t series_col;
	struct cut_gain gain; /* of this run */
	int64_t stuck_us; /* when cutting for free space last gained nothing; 0: it does */
	int stuck_pages;  /* of the log then */
	char stuck[112];  /* that, for the report */
};

#endif
