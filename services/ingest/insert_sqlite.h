/*
 * The parts of the SQLite store, among themselves: insert_sqlite.c has the
 * transaction, insert_stream.c a stream's rows, insert_reading.c a reading's, insert_rows.c
 * what hands rows over, insert_late.c what tells the pruner of late ones, insert_judge.c
 * whose fault a refusal is.
 */
#ifndef INGEST_INSERT_SQLITE_H
#define INGEST_INSERT_SQLITE_H

#include <stdbool.h>

#include "dead_log.h"
#include "insert.h"
#include "insert_parts.h"
#include "insert_rows.h"
#include "printed.h"
#include "series.h"
#include "sqlite.h"

/* The prepared statements; their texts are in insert_sqlite.c. */
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
	ADD_LATE,
	SET_NEXT_ID,
	STATEMENTS
};

struct stored_stream {
	int64_t id; /* 0: none is at hand */
	struct dp_stream_id stream;
	struct stream_row row;
	int64_t seen; /* as it is in the database */
};

struct insert {
	struct insert_options options;
	struct dp_store store;
	bool damaged; /* to be set aside */
	sqlite3_stmt *statements[STATEMENTS];
	struct series_cache series;
	struct rows rows;		 /* of this transaction, not yet handed over */
	struct stored_stream stream;	 /* at hand */
	struct dp_intervals set, before; /* of it: now, and as loaded */
	int64_t next_id;
	int64_t counted_until_us; /* the pruner has counted older readings */
	bool dead;		  /* the transaction made dead letters */
	uint64_t untrimmed; /* dead letters since they were last held to their limit */
	struct dead_log dead_log;
	char why[256]; /* what SQLite said when a transaction failed with -EIO, -EDOM; or
			  empty */
	struct printed printed;
	struct insert_counts counts, pending;
};

/* Step a statement that yields no row, and reset it. @return as dp_sqlite_error() */
int insert_run(struct insert *insert, enum statement which);

/* Bind integers in order. @return the statement */
sqlite3_stmt *insert_bind(
	struct insert *insert, enum statement which, int n, const int64_t *values);

/*
 * Name those of the collected rows for the pruner that are older than what it has counted
 * in its rollups (schema_2.sql, table late). @return as dp_sqlite_error()
 */
int insert_late(struct insert *insert);

/* Write the rows collected so far. @return as dp_sqlite_error() */
int insert_flush(struct insert *insert);

/*
 * A transaction was refused for what it is (SQLITE_CONSTRAINT and the like), and is rolled
 * back. @return -EDOM an ordinary message is taken, so something of that one is at fault;
 * or what is wrong with the database: as dp_store_begin(), insert->why says more
 */
int insert_judge(struct insert *insert);

/* Whether the last call to SQLite failed for what was to be stored. */
bool insert_is_refused(const struct insert *insert);

/* Write what has changed of the stream at hand, and let it go. @return as dp_sqlite_error()
 */
int insert_leave_stream(struct insert *insert);

#endif
