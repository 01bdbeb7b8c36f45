#include "insert_sqlite.h"

#include <errno.h>

/* An empty slice may have no address; bound as it is, it would be NULL. */
static void bind_slice(sqlite3_stmt *statement, int at, struct dp_slice slice)
{
	sqlite3_bind_text(statement, at, slice.len > 0 ? slice.at : "", (int)slice.len,
		SQLITE_STATIC);
}

/* The file may be damaged where no check of SQLite's looks. */
static int take_channel(
	struct insert *insert, struct series *series, sqlite3_stmt *statement)
{
	int64_t column = sqlite3_column_int64(statement, 0);
	const char *quantity = (const char *)sqlite3_column_text(statement, 1);
	const char *unit = (const char *)sqlite3_column_text(statement, 2);
	if (column < 0 || column >= SERIES_COLUMNS || quantity == NULL || unit == NULL)
		return -EUCLEAN;
	return series_set_column(&insert->series, series, (int)column, quantity, unit);
}

static int load_channels(struct insert *insert, struct series *series)
{
	sqlite3_stmt *statement = insert_bind(insert, FIND_CHANNELS, 1, &series->sensor);
	int code, err = 0;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
		err = take_channel(insert, series, statement);
	sqlite3_reset(statement);
	return err != 0 ? err : dp_sqlite_error(code);
}

static int series_row(struct insert *insert, enum statement which, const char *topic,
	struct dp_slice name, int64_t *id)
{
	sqlite3_stmt *statement = insert->statements[which];
	sqlite3_bind_text(statement, 1, topic, -1, SQLITE_STATIC);
	bind_slice(statement, 2, name);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*id = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return code == SQLITE_DONE ? -ENOENT : dp_sqlite_error(code);
}

static int find_series(
	struct insert *insert, const char *topic, struct dp_slice name, struct series **out)
{
	int64_t id = 0;
	*out = series_find(&insert->series, topic, name);
	if (*out != NULL)
		return 0;
	int err = series_row(insert, FIND_SENSOR, topic, name, &id);
	if (err == -ENOENT)
		err = series_row(insert, ADD_SENSOR, topic, name, &id);
	if (err != 0)
		return err;
	*out = series_add(&insert->series, topic, name, id);
	return *out == NULL ? -ENOMEM : load_channels(insert, *out);
}

static int add_channel(struct insert *insert, struct series *series,
	const struct dp_value *value, int *column)
{
	/* A replica may have added it since we looked. */
	int err = load_channels(insert, series);
	*column = series_column(&insert->series, series, value);
	if (err != 0 || *column >= 0)
		return err;
	*column = series_free_column(series, value);
	if (*column < 0)
		return -E2BIG;
	/* Temperature's and humidity's columns are never another quantity's. */
	if (series->columns[*column] != 0)
		return -EUCLEAN;
	sqlite3_stmt *statement = insert->statements[ADD_CHANNEL];
	sqlite3_bind_int64(statement, 1, series->sensor);
	sqlite3_bind_int(statement, 2, *column);
	bind_slice(statement, 3, value->quantity);
	bind_slice(statement, 4, value->unit);
	err = insert_run(insert, ADD_CHANNEL);
	return err != 0 ? err : load_channels(insert, series);
}

int insert_flush(struct insert *insert)
{
	/* Few sensors have more than temperature and humidity, the first two columns. */
	bool wide = insert->rows.set > 3;
	int err = 0;
	if (insert->rows.n > 0)
		err = insert_run(insert, wide ? ADD_WIDE_READINGS : ADD_READINGS);
	if (err == 0)
		err = insert_late(insert);
	insert->rows.n = 0;
	insert->rows.set = 0;
	return err;
}

int insert_place(struct context *c, const char *topic, const struct dp_reading *reading,
	struct place *place)
{
	struct insert *insert = c->insert;
	int err = find_series(insert, topic, reading->sensor, &place->series);
	for (unsigned i = 0; i < reading->n && err == 0; i++) {
		place->columns[i] =
			series_column(&insert->series, place->series, &reading->values[i]);
		if (place->columns[i] < 0)
			err = add_channel(insert, place->series, &reading->values[i],
				&place->columns[i]);
	}
	return err;
}

int insert_row(struct context *c, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock)
{
	struct insert *insert = c->insert;
	int err = insert->rows.n == ROWS_MAX ? insert_flush(insert) : 0;
	if (err != 0)
		return err;
	struct row *row = &insert->rows.at[insert->rows.n++];
	row->sensor = place->series->sensor;
	row->ts_us = reading->ts_us;
	row->id = insert->next_id;
	row->clock = (uint8_t)insert_mark(c, reading->ts_us, clock);
	row->set = 0;
	for (unsigned i = 0; i < reading->n; i++) {
		row->set |= (uint8_t)(1u << place->columns[i]);
		row->values[place->columns[i]] = reading->values[i].value;
	}
	insert->rows.set |= row->set;
	insert->next_id++;
	c->counts->readings++;
	if (insert->options.print)
		printed_add(&insert->printed, topic, reading);
	return 0;
}
