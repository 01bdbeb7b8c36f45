/* Checksums of rows (schema_4.sql). */
#ifndef INGEST_SQLITE_SUMS_H
#define INGEST_SQLITE_SUMS_H

#include <stdbool.h>

#include "identity.h"
#include "sqlite.h"

int64_t sum_of_stream(const struct dp_stream_id *stream, const char *node, size_t node_len);
int64_t sum_of_next_id(int64_t next_id);
int64_t sum_of_interval(int64_t stream, uint64_t first, uint64_t last);

/** Whether a column has it, or NULL: it has none yet. */
bool sum_is(sqlite3_stmt *statement, int column, int64_t sum);

#endif
