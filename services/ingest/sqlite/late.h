/* Late readings: the pruner has counted their time already and must hear of them. */
#ifndef INGEST_SQLITE_LATE_H
#define INGEST_SQLITE_LATE_H

#include "rows.h"
#include "statements.h"

/**
 * Name those of the rows that are older than what the pruner has counted in its rollups
 * (schema_2.sql, table late). @return as dp_sqlite_error()
 */
int late_write(
	struct statements *statements, const struct rows *rows, int64_t counted_until_us);

#endif
