/*
 * The parts of the SQLite store, among themselves: insert_sqlite.c has the
 * transaction, insert_reading.c a reading's row, insert_rows.c what hands rows over,
 * insert_batch.c native batches, insert_plain.c plain messages.
 */
#ifndef INGEST_INSERT_SQLITE_H
#define INGEST_INSERT_SQLITE_H

#include "insert.h"
#include "insert_rows.h"
#include "intervals.h"
#include "reading.h"
#include "scan.h"
#include "series.h"
#include "sqlite.h"

/* The prepared statements; their texts are in insert_sqlite.c. */
enum statement {
	FIND_SENSOR,
	ADD_SENSOR,
	FIND_CHANNELS,
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
	SET_NEXT_ID,
	STATEMENTS
};

struct stored_stream {
	int64_t id; /* 0: none is at hand */
	struct dp_stream_id stream;
	char node[DP_NAME_MAX + 1];
	int64_t seen;
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
	struct scan scan;		 /* of the batch at hand; not small */
	int64_t next_id;
	bool dead; /* the transaction made dead letters */
	char *print;
	size_t print_len, print_size;
	struct insert_counts counts, pending;
};

/* The message at hand, for whoever writes a dead letter or a result. */
struct context {
	struct insert *insert;
	const struct incoming *in;
	struct results *results;
	int64_t now_us;
};

/* Step a statement that yields no row, and reset it. @return as dp_sqlite_error() */
int insert_run(struct insert *insert, enum statement which);

/* Bind integers in order. @return the statement */
sqlite3_stmt *insert_bind(
	struct insert *insert, enum statement which, int n, const int64_t *values);

/*
 * Write a dead letter. seq 0: about the whole message. @return as dp_sqlite_error()
 */
int insert_dead_letter(
	struct context *c, const char *reason, uint64_t seq, const char *text, size_t len);

/* Where a sensor's readings go. */
struct place {
	struct series *series;
	int columns[DP_READING_VALUES];
};

/*
 * Find the place of a reading's sensor and quantities, new ones are added. Readings with
 * the same names have the same place in this transaction.
 * @return 0; -E2BIG the sensor has no column left; as dp_sqlite_error()
 */
int insert_place(struct insert *insert, const char *topic, const struct dp_reading *reading,
	struct place *place);

/*
 * Collect a reading's row and print it; insert_flush() writes what was collected.
 * @return as dp_sqlite_error()
 */
int insert_row(struct insert *insert, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock);

/* Both of them. @return as insert_place() */
int insert_reading(struct insert *insert, const char *topic,
	const struct dp_reading *reading, enum dp_clock_mark clock);

/* Write the rows collected so far. @return as dp_sqlite_error() */
int insert_flush(struct insert *insert);

/*
 * Take in a message of either kind. What a batch changes of its stream is written by
 * insert_leave_stream(). @return 0, or an error that undoes the transaction
 */
int insert_batch(struct context *c);
int insert_leave_stream(struct insert *insert);
int insert_plain(struct context *c);

#endif
