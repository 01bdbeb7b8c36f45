#include "readings.h"

#include <errno.h>

#include "late.h"
#include "log.h"
#include "sums.h"

#define NEXT_ID_MAX (INT64_MAX / 2)
#define PART_MAX 1000000 /* far more than there can be */

/* An empty slice may have no address, which SQLite would bind as NULL. */
static void bind_slice(sqlite3_stmt *statement, int at, struct dp_slice slice)
{
	sqlite3_bind_text(statement, at, slice.len > 0 ? slice.at : "", (int)slice.len,
		SQLITE_STATIC);
}

static sqlite3_stmt *bind_names(struct readings *readings, enum statement which,
	const char *topic, struct dp_slice name)
{
	sqlite3_stmt *statement = readings->statements->at[which];
	sqlite3_bind_text(statement, 1, topic, -1, SQLITE_STATIC);
	bind_slice(statement, 2, name);
	return statement;
}

/* A row of FIND_SENSOR. Its values are checked: SQLite does not notice all damage. */
struct found {
	int64_t sensor, part, column;
	const char *quantity, *unit;
};

static int read_found(sqlite3_stmt *statement, struct found *found)
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
static struct series *remember_part(struct readings *readings, const char *topic,
	struct dp_slice name, struct series **first, uint32_t part, int64_t sensor)
{
	if (*first != NULL)
		return series_add_part(&readings->series, *first, part, sensor);
	*first = series_add(&readings->series, topic, name, part, sensor);
	return *first;
}

/*
 * Read what the database has of a sensor, and remember what is not remembered yet.
 * @param first  as remembered, or NULL; still NULL when there is no such sensor
 */
static int load_series(struct readings *readings, const char *topic, struct dp_slice name,
	struct series **first)
{
	sqlite3_stmt *statement = bind_names(readings, FIND_SENSOR, topic, name);
	struct found found;
	int code, err = 0;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		err = read_found(statement, &found);
		if (err != 0)
			break;
		struct series *part = series_part(*first, (uint32_t)found.part);
		if (part == NULL)
			part = remember_part(readings, topic, name, first,
				(uint32_t)found.part, found.sensor);
		if (part == NULL)
			err = -ENOMEM;
		else if (found.column >= 0)
			err = series_set_column(&readings->series, part, (int)found.column,
				&(struct dp_value){.quantity = dp_slice(found.quantity),
					.unit = dp_slice(found.unit)});
	}
	sqlite3_reset(statement);
	return err != 0 ? err : dp_sqlite_error(code);
}

/* Make another part of a sensor, or its first one. */
static int add_part(struct readings *readings, const char *topic, struct dp_slice name,
	struct series **first, struct series **part)
{
	sqlite3_stmt *statement = bind_names(readings, ADD_SENSOR, topic, name);
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
	*part = remember_part(readings, topic, name, first, number, id);
	return *part == NULL ? -ENOMEM : 0;
}

static int add_channel(struct readings *readings, struct series *part, int column,
	const struct dp_value *value)
{
	/* Only damage puts another quantity into the columns of temperature and humidity.
	 */
	if (part->columns[column] != 0)
		return -EUCLEAN;
	sqlite3_stmt *statement = readings->statements->at[ADD_CHANNEL];
	sqlite3_bind_int64(statement, 1, part->sensor);
	sqlite3_bind_int(statement, 2, column);
	bind_slice(statement, 3, value->quantity);
	bind_slice(statement, 4, value->unit);
	int err = dp_sqlite_run(statement);
	return err != 0 ? err : series_set_column(&readings->series, part, column, value);
}

/* Make the parts and columns that a reading needs and for which there is room. */
static int add_missing(struct readings *readings, const char *topic,
	const struct dp_reading *reading, struct series **first)
{
	struct series *part;
	int err = *first == NULL ? add_part(readings, topic, reading->sensor, first, &part)
				 : 0;
	for (unsigned i = 0; i < reading->n && err == 0; i++) {
		const struct dp_value *value = &reading->values[i];
		if (series_has(&readings->series, *first, value))
			continue;
		int column = series_free_column(*first, value, &part);
		if (part == NULL)
			err = add_part(readings, topic, reading->sensor, first, &part);
		if (err == 0)
			err = add_channel(readings, part, column, value);
	}
	return err;
}

static int flush(struct readings *readings)
{
	struct rows *rows = &readings->rows;
	/* Few sensors have more than temperature and humidity, the first two columns. */
	bool wide = rows->set > 3;
	int err = 0;
	if (rows->n > 0)
		err = statements_run(readings->statements,
			wide ? ADD_WIDE_READINGS : ADD_READINGS, 0, NULL);
	if (err == 0)
		err = late_write(readings->statements, rows, readings->counted_until_us);
	rows_clear(rows);
	return err;
}

/*
 * The next id is not what was written: a bit was flipped, or somebody has been at the
 * table. An id that was used already would be taken for a reading that the pruner has
 * counted.
 */
static int look_up_next_id(struct readings *readings)
{
	sqlite3_stmt *statement = readings->statements->at[LARGEST_ID];
	int64_t largest = 0, found = readings->next_id;
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		largest = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	if (code != SQLITE_ROW)
		return dp_sqlite_error(code);
	if (found <= largest || found > NEXT_ID_MAX)
		readings->next_id = largest + 1;
	readings->first_id = 0; /* written in any case: not to look again at each commit */
	dp_log(DP_LOG_WARN, "the number of the next row was changed; it was looked up anew",
		"found=%lld next=%lld", (long long)found, (long long)readings->next_id);
	return 0;
}

int readings_begin(struct readings *readings)
{
	sqlite3_stmt *statement = readings->statements->at[NEXT_ID];
	bool changed = false;
	rows_clear(&readings->rows);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		readings->next_id = sqlite3_column_int64(statement, 0);
		changed = !sum_is(statement, 2, sum_of_next_id(readings->next_id));
		readings->first_id = readings->next_id;
		readings->counted_until_us = sqlite3_column_int64(statement, 1);
	}
	sqlite3_reset(statement);
	/* Somebody has changed the tables: not damage, for which the file is set aside. */
	if (code == SQLITE_DONE)
		return -ENODATA;
	int err = changed ? look_up_next_id(readings) : dp_sqlite_error(code);
	if (err == 0 && (readings->next_id < 1 || readings->next_id > NEXT_ID_MAX))
		return -EUCLEAN;
	return err;
}

int readings_find_place(struct readings *readings, const char *topic,
	const struct dp_reading *reading, struct place *place)
{
	struct series *first = series_find(&readings->series, topic, reading->sensor);
	int err = first != NULL ? series_place(&readings->series, first, reading, place)
				: -ENOENT;
	if (err != -ENOENT)
		return err;
	/* A replica may have added it since we looked. */
	err = load_series(readings, topic, reading->sensor, &first);
	if (err != 0)
		return err;
	err = first != NULL ? series_place(&readings->series, first, reading, place)
			    : -ENOENT;
	if (err != -ENOENT)
		return err;
	err = add_missing(readings, topic, reading, &first);
	return err != 0 ? err : series_place(&readings->series, first, reading, place);
}

int readings_add(struct readings *readings, const struct dp_reading *reading,
	const struct place *place, unsigned mark)
{
	int err = readings->rows.n + place->n > ROWS_MAX ? flush(readings) : 0;
	if (err != 0)
		return err;
	rows_add(&readings->rows, reading, place, mark, readings->next_id);
	readings->next_id += place->n;
	return 0;
}

int readings_end(struct readings *readings)
{
	int err = flush(readings);
	if (err != 0 || readings->next_id == readings->first_id)
		return err;
	const int64_t row[] = {readings->next_id, sum_of_next_id(readings->next_id)};
	return statements_run(readings->statements, SET_NEXT_ID, 2, row);
}

void readings_forget(struct readings *readings)
{
	series_clear(&readings->series);
}
