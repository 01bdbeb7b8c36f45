#include "insert_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

/* An empty slice may have no address; bound as it is, it would be NULL. */
static void bind_slice(sqlite3_stmt *statement, int at, struct dp_slice slice)
{
	sqlite3_bind_text(statement, at, slice.len > 0 ? slice.at : "", (int)slice.len,
		SQLITE_STATIC);
}

static int load_channels(struct insert *insert, struct series *series)
{
	sqlite3_stmt *statement = insert_bind(insert, FIND_CHANNELS, 1, &series->sensor);
	int code, err = 0;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW)
		err = series_set_column(&insert->series, series,
			sqlite3_column_int(statement, 0),
			(const char *)sqlite3_column_text(statement, 1),
			(const char *)sqlite3_column_text(statement, 2));
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
	sqlite3_stmt *statement = insert->statements[ADD_CHANNEL];
	sqlite3_bind_int64(statement, 1, series->sensor);
	sqlite3_bind_int(statement, 2, *column);
	bind_slice(statement, 3, value->quantity);
	bind_slice(statement, 4, value->unit);
	err = insert_run(insert, ADD_CHANNEL);
	return err != 0 ? err : load_channels(insert, series);
}

static void print_reading(
	struct insert *insert, const char *topic, const struct dp_reading *reading)
{
	if (insert->print_size - insert->print_len < DP_READING_JSON) {
		size_t size = 2 * (insert->print_size + DP_READING_JSON);
		char *print = realloc(insert->print, size);
		if (print == NULL)
			dp_log_out_of_memory("what is printed");
		insert->print = print;
		insert->print_size = size;
	}
	char *at = insert->print + insert->print_len;
	size_t left = insert->print_size - insert->print_len;
	size_t len = (size_t)snprintf(at, left, "Topic=%.400s", topic);
	for (unsigned i = 0; i < reading->n; i++) {
		const struct dp_value *v = &reading->values[i];
		if (dp_slice_equal(v->quantity, dp_slice("temperature")))
			len += (size_t)snprintf(
				at + len, left - len, ", Temp=%.1f°C", v->value);
		else if (dp_slice_equal(v->quantity, dp_slice("humidity")))
			len += (size_t)snprintf(
				at + len, left - len, ", Humidity=%.1f%%", v->value);
		else
			len += (size_t)snprintf(at + len, left - len, ", %.*s=%g%.*s",
				(int)v->quantity.len, v->quantity.at, v->value,
				(int)v->unit.len, v->unit.at);
	}
	at[len++] = '\n';
	insert->print_len += len;
}

int insert_flush(struct insert *insert)
{
	/* Few sensors have more than temperature and humidity, the first two columns. */
	bool wide = insert->rows.set > 3;
	int err = 0;
	if (insert->rows.n > 0)
		err = insert_run(insert, wide ? ADD_WIDE_READINGS : ADD_READINGS);
	insert->rows.n = 0;
	insert->rows.set = 0;
	return err;
}

int insert_place(struct insert *insert, const char *topic, const struct dp_reading *reading,
	struct place *place)
{
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

int insert_row(struct insert *insert, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock)
{
	int err = insert->rows.n == ROWS_MAX ? insert_flush(insert) : 0;
	if (err != 0)
		return err;
	struct row *row = &insert->rows.at[insert->rows.n++];
	row->sensor = place->series->sensor;
	row->ts_us = reading->ts_us;
	row->id = insert->next_id;
	row->clock = (uint8_t)clock;
	row->set = 0;
	for (unsigned i = 0; i < reading->n; i++) {
		row->set |= (uint8_t)(1u << place->columns[i]);
		row->values[place->columns[i]] = reading->values[i].value;
	}
	insert->rows.set |= row->set;
	insert->next_id++;
	insert->pending.readings++;
	if (insert->options.print)
		print_reading(insert, topic, reading);
	return 0;
}

int insert_reading(struct insert *insert, const char *topic,
	const struct dp_reading *reading, enum dp_clock_mark clock)
{
	struct place place;
	int err = insert_place(insert, topic, reading, &place);
	return err != 0 ? err : insert_row(insert, topic, reading, &place, clock);
}
