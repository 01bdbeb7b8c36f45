/* SQLite as the outbox's files use it: outbox.c opens and writes, outbox_read.c reads. */
#ifndef PUBLISHER_OUTBOX_DB_H
#define PUBLISHER_OUTBOX_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "../streams/page.h"

#define OUTBOX_FAR_US INT64_C(4000000000000000000) /* added up, times stay in range */

/** An open outbox. */
struct outbox {
	sqlite3 *db;
	sqlite3_stmt *append, *remove, *load, *add_stream, *set_low, *set_closed, *oldest,
		*begin, *commit, *rollback;
	char instance[17];
	int64_t floor_us;
};

/**
 * Checksums of a reading, 32 bits each (FNV-1a): of its stream, number, clock and time,
 * which can be checked without reading the rest, and of its content. Any single bit that
 * is not as it was written shows.
 */
int64_t outbox_sum_head(const struct outbox_reading *reading);
int64_t outbox_sum_json(const struct outbox_reading *reading);

/** Whether a column has that sum; NULL has any. @param shift  32: of the head, 0: json */
bool outbox_column_has_sum(
	sqlite3_stmt *statement, int column, int64_t sum, unsigned shift);

/**
 * As dp_sqlite_error(), for an outbox: what our own statements cannot run into in a file
 * of ours, such as a constraint or a missing column, is damage as well (-EUCLEAN).
 */
int outbox_error(int code);
/** dp_sqlite_exec() and dp_sqlite_prepare() with such errors; nothing is logged. */
int outbox_exec(struct outbox *outbox, const char *sql);
int outbox_prepare(struct outbox *outbox, const char *sql, sqlite3_stmt **statement);
/** Run a prepared statement that returns no row. */
int outbox_run(sqlite3_stmt *statement);
/** For what is rare: prepared, run and thrown away. `text`, unless NULL, is bound first. */
int outbox_run_once(struct outbox *outbox, const char *sql, const char *text,
	const int64_t *values, int n);

/** @return 0 and the whole number; -EUCLEAN it is none, or outside of these bounds */
int outbox_column_in(
	sqlite3_stmt *statement, int column, int64_t low, int64_t high, int64_t *out);
/** A text without NUL of less than `size` bytes. @return 0 or -EUCLEAN */
int outbox_column_text(sqlite3_stmt *statement, int column, char *out, size_t size);

#endif
