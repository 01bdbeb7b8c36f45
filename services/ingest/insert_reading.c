#include "insert_sqlite.h"

#include <errno.h>

#define PART_MAX 1000000 /* far more than there can be */

/* An empty slice may have no address; bound as it is, it would be NULL. */
static void bind_slice(sqlite3_stmt *statement, int at, struct dp_slice slice)
{
	sqlite3_bind_text(statement, at, slice.len > 0 ? slice.at : "", (int)slice.len,
		SQLITE_STATIC);
}

static sqlite3_stmt *bind_names(struct insert *insert, enum statement which,
	const char *topic, struct dp_slice name)
{
	sqlite3_stmt *statement = insert->statements[which];
	sqlite3_bind_text(statement, 1, topic, -1, SQLITE_STATIC);
	bind_slice(statement, 2, name);
	return statement;
}

/* What FIND_SENSOR says. The file may be damaged where no check of SQLite's looks. */
struct found {
	int64_t sensor, part, column;
	const char *quantity, *unit;
};

static int take_found(sqlite3_stmt *statement, struct found *found)
{
	found->sensor = sqlite3_column_int64(statement, 0);
	found->part = sqlite3_column_int64(statement, 1);
	if (found->part < 0 || found->part > PART_MAX)
		return -EUCLEAN;
	found->column = -1;
	if (sqlite3_column_type(statement, 2) == SQLITE_NULL)
		return 0;
	found->column = sqlite3_column_int64(statement, 2);
	found->quantity = (const char *)sqlite3_column_text(statement, 3);
	found->unit = (const char *)sqlite3_column_text(statement, 4);
	return found->column < 0 || found->column >= SERIES_COLUMNS ||
			       found->quantity == NULL || found->unit == NULL
		       ? -EUCLEAN
		       : 0;
}

/* Remember a part, the first or another one. @return NULL when out of memory */
static struct series *remember_part(struct insert *insert, const char *topic,
	struct dp_slice name, struct series **first, uint32_t part, int64_t sensor)
{
	if (*first != NULL)
		return series_add_part(&insert->series, *first, part, sensor);
	*first = series_add(&insert->series, topic, name, part, sensor);
	return *first;
}

/*
 * Read what the database has of a sensor, and remember what is not remembered yet.
 * @param first  as remembered, or NULL; still NULL when there is no such sensor
 */
static int load_series(struct insert *insert, const char *topic, struct dp_slice name,
	struct series **first)
{
	sqlite3_stmt *statement = bind_names(insert, FIND_SENSOR, topic, name);
	struct found found;
	int code, err = 0;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		err = take_found(statement, &found);
		if (err != 0)
			break;
		struct series *part = series_part(*first, (uint32_t)found.part);
		if (part == NULL)
			part = remember_part(insert, topic, name, first,
				(uint32_t)found.part, found.sensor);
		if (part == NULL)
			err = -ENOMEM;
		else if (found.column >= 0)
			err = series_set_column(&insert->series, part, (int)found.column,
				&(struct dp_value){.quantity = dp_slice(found.quantity),
					.unit = dp_slice(found.unit)});
	}
	sqlite3_reset(statement);
	return err != 0 ? err : dp_sqlite_error(code);
}

/* Make another part of a sensor, or its first one. */
static int add_part(struct insert *insert, const char *topic, struct dp_slice name,
	struct series **first, struct series **part)
{
	sqlite3_stmt *statement = bind_names(insert, ADD_SENSOR, topic, name);
	uint32_t number = *first == NULL ? 0 : series_next_part(*first);
	int64_t id = 0;
	sqlite3_bind_int64(statement, 3, number);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		id = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	int err = dp_sqlite_error(code);
	if (err != 0)
		return err;
	*part = remember_part(insert, topic, name, first, number, id);
	return *part == NULL ? -ENOMEM : 0;
}

static int add_channel(struct insert *insert, struct series *part, int column,
	const struct dp_value *value)
{
	/* Temperature's and humidity's columns are never another quantity's. */
	if (part->columns[column] != 0)
		return -EUCLEAN;
	sqlite3_stmt *statement = insert->statements[ADD_CHANNEL];
	sqlite3_bind_int64(statement, 1, part->sensor);
	sqlite3_bind_int(statement, 2, column);
	bind_slice(statement, 3, value->quantity);
	bind_slice(statement, 4, value->unit);
	int err = insert_run(insert, ADD_CHANNEL);
	return err != 0 ? err : series_set_column(&insert->series, part, column, value);
}

/* Make the parts and columns that a reading needs and for which there is room. */
static int add_missing(struct insert *insert, const char *topic,
	const struct dp_reading *reading, struct series **first)
{
	struct series *part;
	int err =
		*first == NULL ? add_part(insert, topic, reading->sensor, first, &part) : 0;
	for (unsigned i = 0; i < reading->n && err == 0; i++) {
		const struct dp_value *value = &reading->values[i];
		if (series_has(&insert->series, *first, value))
			continue;
		int column = series_free_column(*first, value, &part);
		if (part == NULL)
			err = add_part(insert, topic, reading->sensor, first, &part);
		if (err == 0)
			err = add_channel(insert, part, column, value);
	}
	return err;
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
	struct series *first = series_find(&insert->series, topic, reading->sensor);
	int err = first != NULL ? series_place(&insert->series, first, reading, place)
				: -ENOENT;
	if (err != -ENOENT)
		return err;
	/* A replica may have added it since we looked. */
	err = load_series(insert, topic, reading->sensor, &first);
	if (err != 0)
		return err;
	err = first != NULL ? series_place(&insert->series, first, reading, place)
			    : -ENOENT;
	if (err != -ENOENT)
		return err;
	err = add_missing(insert, topic, reading, &first);
	return err != 0 ? err : series_place(&insert->series, first, reading, place);
}

int insert_row(struct context *c, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock)
{
	struct insert *insert = c->insert;
	int err = insert->rows.n + place->n > ROWS_MAX ? insert_flush(insert) : 0;
	if (err != 0)
		return err;
	struct row *rows = &insert->rows.at[insert->rows.n];
	uint8_t mark = (uint8_t)insert_mark(c, reading->ts_us, clock);
	for (unsigned i = 0; i < place->n; i++) {
		rows[i].sensor = place->parts[i]->sensor;
		rows[i].ts_us = reading->ts_us;
		rows[i].id = insert->next_id++;
		rows[i].clock = mark;
		rows[i].set = 0;
	}
	for (unsigned i = 0; i < reading->n; i++) {
		struct row *row = &rows[place->row[i]];
		uint8_t bit = (uint8_t)(1u << place->column[i]);
		row->set |= bit;
		row->values[place->column[i]] = reading->values[i].value;
		insert->rows.set |= bit;
	}
	insert->rows.n += place->n;
	c->counts->readings++;
	if (insert->options.print)
		printed_add(&insert->printed, topic, reading);
	return 0;
}
