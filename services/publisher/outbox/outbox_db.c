#include "outbox_db.h"

#include <errno.h>
#include <string.h>

#include "fnv.h"
#include "sqlite.h"

int64_t outbox_sum_head(const struct outbox_reading *reading)
{
	const uint64_t numbers[] = {(uint64_t)reading->row, reading->seq,
		(uint64_t)reading->clock, (uint64_t)reading->boottime_ns};
	uint32_t sum = DP_FNV_BASIS;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sum = dp_fnv_number(sum, numbers[i]);
	return sum & INT32_MAX; /* the whole is a positive number */
}

int64_t outbox_sum_json(const struct outbox_reading *reading)
{
	return dp_fnv(DP_FNV_BASIS, reading->json, reading->len);
}

bool outbox_column_has_sum(sqlite3_stmt *statement, int column, int64_t sum, unsigned shift)
{
	int type = sqlite3_column_type(statement, column);
	int64_t there = sqlite3_column_int64(statement, column);
	there = shift == 32 ? there >> 32 : there & UINT32_MAX;
	return type == SQLITE_NULL || (type == SQLITE_INTEGER && there == sum);
}

int outbox_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_ERROR:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return -EUCLEAN;
	default:
		return dp_sqlite_error(code);
	}
}

int outbox_exec(struct outbox *outbox, const char *sql)
{
	return outbox_error(sqlite3_exec(outbox->db, sql, NULL, NULL, NULL));
}

int outbox_prepare(struct outbox *outbox, const char *sql, sqlite3_stmt **statement)
{
	return outbox_error(sqlite3_prepare_v3(
		outbox->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL));
}

int outbox_run(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);
	sqlite3_reset(statement);
	return outbox_error(code);
}

int outbox_run_once(struct outbox *outbox, const char *sql, const char *text,
	const int64_t *values, int n)
{
	sqlite3_stmt *statement = NULL;
	int err = outbox_prepare(outbox, sql, &statement);
	if (err != 0)
		return err;
	if (text != NULL)
		err = outbox_error(
			sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC));
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(statement, i + 1 + (text != NULL), values[i]);
	if (err == 0)
		err = outbox_run(statement);
	sqlite3_finalize(statement);
	return err;
}

int outbox_column_in(
	sqlite3_stmt *statement, int column, int64_t low, int64_t high, int64_t *out)
{
	/* The type first: asking for a value may change it. */
	bool fine = sqlite3_column_type(statement, column) == SQLITE_INTEGER;
	*out = sqlite3_column_int64(statement, column);
	fine = fine && *out >= low && *out <= high;
	return fine ? 0 : -EUCLEAN;
}

int outbox_column_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
		return -EUCLEAN;
	const void *text = sqlite3_column_text(statement, column);
	size_t len = (size_t)sqlite3_column_bytes(statement, column);
	if (text == NULL || len >= size || memchr(text, 0, len) != NULL)
		return -EUCLEAN;
	memcpy(out, text, len);
	out[len] = '\0';
	return 0;
}
