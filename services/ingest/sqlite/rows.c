#include "rows.h"

#include <stdlib.h>

/* The order of ROWS_COLUMNS ROWS_MORE. */
enum column { SENSOR, TS, ID, CLOCK, VALUES };

struct cursor {
	sqlite3_vtab_cursor base;
	size_t at;
};

struct table {
	sqlite3_vtab base;
	const struct rows *rows;
};

static const struct row *row_at(sqlite3_vtab_cursor *cursor)
{
	const struct table *table = (const struct table *)cursor->pVtab;
	return &table->rows->at[((const struct cursor *)cursor)->at];
}

static int rows_connect(sqlite3 *db, void *rows, int argc, const char *const *argv,
	sqlite3_vtab **out, char **error)
{
	(void)argc, (void)argv, (void)error;
	int code = sqlite3_declare_vtab(db, "CREATE TABLE x(" ROWS_COLUMNS ROWS_MORE ")");
	if (code != SQLITE_OK)
		return code;
	struct table *table = calloc(1, sizeof(*table));
	if (table == NULL)
		return SQLITE_NOMEM;
	table->rows = rows;
	*out = &table->base;
	return SQLITE_OK;
}

static int rows_disconnect(sqlite3_vtab *table)
{
	free(table);
	return SQLITE_OK;
}

static int rows_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
	(void)table;
	info->estimatedRows = ROWS_MAX;
	return SQLITE_OK;
}

static int rows_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
	(void)table;
	struct cursor *cursor = calloc(1, sizeof(*cursor));
	if (cursor == NULL)
		return SQLITE_NOMEM;
	*out = &cursor->base;
	return SQLITE_OK;
}

static int rows_close(sqlite3_vtab_cursor *cursor)
{
	free(cursor);
	return SQLITE_OK;
}

static int rows_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc,
	sqlite3_value **argv)
{
	(void)number, (void)text, (void)argc, (void)argv;
	((struct cursor *)cursor)->at = 0;
	return SQLITE_OK;
}

static int rows_next(sqlite3_vtab_cursor *cursor)
{
	((struct cursor *)cursor)->at++;
	return SQLITE_OK;
}

static int rows_eof(sqlite3_vtab_cursor *cursor)
{
	const struct table *table = (const struct table *)cursor->pVtab;
	return ((const struct cursor *)cursor)->at >= table->rows->n;
}

static int rows_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
	const struct row *row = row_at(cursor);
	if (column == SENSOR)
		sqlite3_result_int64(context, row->sensor);
	else if (column == TS)
		sqlite3_result_int64(context, row->ts_us);
	else if (column == ID)
		sqlite3_result_int64(context, row->id);
	else if (column == CLOCK)
		sqlite3_result_int(context, row->clock);
	else if ((row->set & 1u << (column - VALUES)) != 0)
		sqlite3_result_double(context, row->values[column - VALUES]);
	return SQLITE_OK; /* without a result it is NULL */
}

static int rows_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *id)
{
	*id = row_at(cursor)->id;
	return SQLITE_OK;
}

/* Without xCreate it exists once, under its own name, and is in no schema. */
static const sqlite3_module module = {
	.xConnect = rows_connect,
	.xBestIndex = rows_best_index,
	.xDisconnect = rows_disconnect,
	.xOpen = rows_open,
	.xClose = rows_close,
	.xFilter = rows_filter,
	.xNext = rows_next,
	.xEof = rows_eof,
	.xColumn = rows_column,
	.xRowid = rows_rowid,
};

int rows_register(sqlite3 *db, struct rows *rows)
{
	return dp_sqlite_error(sqlite3_create_module(db, "collected", &module, rows));
}

void rows_add(struct rows *rows, const struct dp_reading *reading,
	const struct place *place, unsigned mark, int64_t first_id)
{
	struct row *row = &rows->at[rows->n];
	for (unsigned i = 0; i < place->n; i++) {
		row[i].sensor = place->parts[i]->sensor;
		row[i].ts_us = reading->ts_us;
		row[i].id = first_id + i;
		row[i].clock = (uint8_t)mark;
		row[i].set = 0;
	}
	for (unsigned i = 0; i < reading->n; i++) {
		uint8_t bit = (uint8_t)(1u << place->column[i]);
		row[place->row[i]].set |= bit;
		row[place->row[i]].values[place->column[i]] = reading->values[i].value;
		rows->set |= bit;
	}
	rows->n += place->n;
}

void rows_clear(struct rows *rows)
{
	rows->n = 0;
	rows->set = 0;
}
