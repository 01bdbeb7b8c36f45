/*
 * Rows of `reading` on their way into the database: collected, and handed to SQLite
 * together by a table-valued source, which costs about half of a statement a row.
 */
#ifndef INGEST_INSERT_ROWS_H
#define INGEST_INSERT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "series.h"
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

/** What selects from `collected` in a statement of this connection reads. `rows` outlives
 * it. */
int rows_register(sqlite3 *db, struct rows *rows);

/** The statements that flush: of temperature and humidity alone, and of all columns. */
#define ROWS_COLUMNS "sensor, ts, id, clock, temperature, humidity"
#define ROWS_MORE ", v2, v3, v4, v5, v6, v7"
/* FAIL: the transaction is rolled back anyway, so nothing is kept to undo a statement. */
#define ROWS_INSERT(columns)                                                               \
	"INSERT OR FAIL INTO reading (" columns ") SELECT " columns " FROM collected"

#endif
