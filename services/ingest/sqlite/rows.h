/*
 * Rows of `reading` on their way into the database: collected, and handed to SQLite
 * together by a table-valued source, which costs about half of a statement a row.
 */
#ifndef INGEST_SQLITE_ROWS_H
#define INGEST_SQLITE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../series.h"
#include "sqlite.h"

#define ROWS_MAX 512 /**< flushed when full */

struct row {
	int64_t sensor, ts_us, id;
	uint8_t clock;
	uint8_t set; /**< a bit for each column that has a value */
	double values[SERIES_COLUMNS];
};

struct rows {
	size_t n;
	uint8_t set; /**< of all rows together */
	struct row at[ROWS_MAX];
};

/** Let statements of this connection select from `collected`: these rows, which outlive
 * it. @return as dp_sqlite_error() */
int rows_register(sqlite3 *db, struct rows *rows);

/**
 * Collect a reading's rows, for which there is room.
 * @param mark      reading.clock
 * @param first_id  of its first row; the others follow
 */
void rows_add(struct rows *rows, const struct dp_reading *reading,
	const struct place *place, unsigned mark, int64_t first_id);

/** Forget them: they are written, or their transaction is undone. */
void rows_clear(struct rows *rows);

/** The statements that flush: of temperature and humidity alone, and of all columns. */
#define ROWS_COLUMNS "sensor, ts, id, clock, temperature, humidity"
#define ROWS_MORE ", v2, v3, v4, v5, v6, v7"
/* FAIL: the transaction is rolled back anyway, so nothing is kept to undo a statement. */
#define ROWS_INSERT(columns)                                                               \
	"INSERT OR FAIL INTO reading (" columns ") SELECT " columns " FROM collected"

#endif
