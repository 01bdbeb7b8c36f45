#include "provision.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "postgres.h"
#include "session.h"

#define WANTED "unnest($1, $2) WITH ORDINALITY AS wanted (topic, name, n)"

/* The parts of all wanted sensors; n says which sensor it is. */
#define PARTS                                                                              \
	"SELECT n, part, id FROM " WANTED " JOIN sensor USING (topic, name) ORDER BY n, "  \
	"part"

/* Statements of the first group, by their number; and of the second, with new parts. */
enum { BEGIN, LOCK, ADD_SENSORS, FIND_SENSORS, FIND_CHANNELS };
enum { ADD_PARTS, FIND_PARTS };

static void give_up(struct provision *p, int err)
{
	catalog_forget_series(p->catalog);
	p->done(p->data, err);
}

/* ---- partitions ---- */

/* Readings of these days go to the default partition, until theirs is made. */
static void on_undone(void *data, int err)
{
	struct provision *p = data;
	catalog_postpone_days(p->catalog);
	p->done(p->data, err);
}

static void on_days_made(void *data, int err)
{
	struct provision *p = data;
	if (err == 0)
		err = catalog_note_days(p->catalog);
	if (err != p->days_error && err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot make the partition of a day, will try again",
			"store=%s error=\"%s\"", pg_name(p->pg), pg_error(p->pg));
	p->days_error = err;
	if (err == 0 || err == -ENOTCONN)
		p->done(p->data, err);
	else
		pg_script(p->pg, "ROLLBACK", on_undone, p);
}

static void make_days(struct provision *p)
{
	const struct dp_intervals *days = &p->catalog->wanted_days;
	if (days->n == 0) {
		p->done(p->data, 0);
		return;
	}
	wire_array_begin(&p->days, WIRE_INT4_ARRAY);
	for (size_t i = 0; i < days->n; i++) {
		for (uint64_t day = days->at[i].first; day <= days->at[i].last; day++)
			wire_int32_field(wire_array_next(&p->days), (int32_t)day);
	}
	const struct pg_value values[] = {pg_array(&p->days)};
	/* A long query may hold the default partition. Do not wait for its end. */
	pg_begin(p->pg, NULL, on_days_made, p);
	pg_add(p->pg, SESSION_BEGIN, NULL, 0);
	pg_add(p->pg, "SET LOCAL lock_timeout = '500ms'", NULL, 0);
	pg_add(p->pg, DP_POSTGRES_LOCK, NULL, 0);
	pg_add(p->pg,
		"SELECT dewpoint_partition(date '1970-01-01' + day) FROM unnest($1) AS day",
		values, 1);
	pg_add(p->pg, "COMMIT", NULL, 0);
	pg_end(p->pg);
}

/* ---- sensors and columns ---- */

static void on_made(void *data, int err)
{
	struct provision *p = data;
	if (err != 0)
		give_up(p, err);
	else
		make_days(p);
}

static int compare_series(const void *a, const void *b)
{
	const struct series *left = *(struct series *const *)a,
			    *right = *(struct series *const *)b;
	return (left > right) - (left < right);
}

/* Its place in p->series, from 1 on, as WITH ORDINALITY counts. */
static int32_t number_of(const struct provision *p, const struct series *series)
{
	struct series **at =
		bsearch(&series, p->series, p->n, sizeof(struct series *), compare_series);
	return (int32_t)(at - p->series) + 1;
}

static struct series *remember_part(
	struct provision *p, struct series *series, uint32_t number, int64_t id)
{
	struct series *part = series_add_part(&p->catalog->series, series, number, id);
	if (part == NULL)
		dp_log_out_of_memory("new sensors");
	return part;
}

static void set_column(
	struct provision *p, struct series *part, int column, const struct dp_value *value)
{
	if (series_set_column(&p->catalog->series, part, column, value) != 0)
		dp_log_out_of_memory("new columns");
}

/* A column for a quantity, whose names end in a NUL; in one more part of its sensor if none
 * is left. */
static void assign_column(
	struct provision *p, struct series *series, const struct dp_value *value)
{
	struct series *part;
	int32_t number = number_of(p, series);
	int column = series_free_column(series, value, &part);
	if (part == NULL) {
		part = remember_part(p, series, series_next_part(series), 0);
		wire_int32_field(wire_array_next(&p->part_of), number);
		wire_int32_field(wire_array_next(&p->parts), (int32_t)part->part);
	}
	set_column(p, part, column, value);
	wire_int32_field(wire_array_next(&p->channel_of), number);
	wire_int32_field(wire_array_next(&p->channel_parts), (int32_t)part->part);
	wire_int32_field(wire_array_next(&p->columns), column);
	wire_text_field(wire_array_next(&p->quantities), value->quantity.at);
	wire_text_field(wire_array_next(&p->units), value->unit.at);
}

/*
 * Columns for the quantities that readings want, where they still have none: all that a
 * reading wants, or none of it, so that one that is refused leaves nothing.
 */
static void assign_columns(struct provision *p)
{
	const struct catalog *catalog = p->catalog;
	struct place place;
	for (size_t i = 0; i < catalog->n_wanted;) {
		struct series *series = catalog->wanted[i].series;
		struct dp_reading reading = {.n = 0};
		do {
			const struct channel *channel = &catalog->wanted[i].channel;
			reading.values[reading.n++] =
				(struct dp_value){.quantity = dp_slice(channel->quantity),
					.unit = dp_slice(channel->unit)};
			i++;
		} while (i < catalog->n_wanted && !catalog->wanted[i].begins);
		if (series_place(&p->catalog->series, series, &reading, &place) != -ENOENT)
			continue;
		for (unsigned j = 0; j < reading.n; j++) {
			if (!series_has(&p->catalog->series, series, &reading.values[j]))
				assign_column(p, series, &reading.values[j]);
		}
	}
}

static void read_parts(struct provision *p, const struct pg_rows *rows)
{
	for (size_t i = 0; i < pg_count(rows); i++) {
		struct series *series = p->series[pg_int(rows, i, 0) - 1];
		uint32_t number = (uint32_t)pg_int(rows, i, 1);
		struct series *part = series_part(series, number);
		if (part == NULL)
			part = remember_part(p, series, number, 0);
		series_set_sensor(part, pg_int(rows, i, 2));
	}
}

static void read_channels(struct provision *p, const struct pg_rows *rows)
{
	for (size_t i = 0; i < pg_count(rows); i++) {
		struct series *part = series_part(
			p->series[pg_int(rows, i, 0) - 1], (uint32_t)pg_int(rows, i, 1));
		const struct dp_value value = {.quantity = dp_slice(pg_text(rows, i, 3)),
			.unit = dp_slice(pg_text(rows, i, 4))};
		set_column(p, part, (int)pg_int(rows, i, 2), &value);
	}
}

static void on_new_parts(void *data, int statement, const struct pg_rows *rows)
{
	if (statement == FIND_PARTS)
		read_parts(data, rows);
}

static void on_looked(void *data, int err)
{
	struct provision *p = data;
	if (err != 0) {
		give_up(p, err);
		return;
	}
	struct wire_array *const numbers[] = {
		&p->part_of, &p->parts, &p->channel_of, &p->channel_parts, &p->columns};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		wire_array_begin(numbers[i], WIRE_INT4_ARRAY);
	wire_array_begin(&p->quantities, WIRE_TEXT_ARRAY);
	wire_array_begin(&p->units, WIRE_TEXT_ARRAY);
	assign_columns(p);
	const struct pg_value parts[] = {pg_array(&p->topics), pg_array(&p->names),
		pg_array(&p->part_of), pg_array(&p->parts)};
	const struct pg_value channels[] = {pg_array(&p->topics), pg_array(&p->names),
		pg_array(&p->channel_of), pg_array(&p->channel_parts),
		pg_array(&p->columns), pg_array(&p->quantities), pg_array(&p->units)};
	bool more = p->parts.n > 0;
	pg_begin(p->pg, more ? on_new_parts : NULL, on_made, p);
	if (more) {
		pg_add(p->pg,
			"INSERT INTO sensor (topic, name, part) SELECT topic, name, part"
			" FROM " WANTED " JOIN unnest($3, $4) AS new (n, part) USING (n)",
			parts, 4);
		pg_add(p->pg, PARTS, parts, 2);
	}
	pg_add(p->pg,
		"INSERT INTO channel (sensor, col, quantity, unit)"
		" SELECT id, col, quantity, unit FROM " WANTED
		" JOIN unnest($3, $4, $5, $6, $7) AS new (n, part, col, quantity, unit)"
		" USING (n) JOIN sensor USING (topic, name, part)",
		channels, 7);
	pg_add(p->pg, "COMMIT", NULL, 0);
	pg_end(p->pg);
}

static void on_rows(void *data, int statement, const struct pg_rows *rows)
{
	if (statement == FIND_SENSORS)
		read_parts(data, rows);
	if (statement == FIND_CHANNELS)
		read_channels(data, rows);
}

static void collect_series(struct provision *p)
{
	size_t wanted = p->catalog->n_wanted;
	if (wanted > p->size) {
		struct series **series = realloc(p->series, wanted * sizeof(*series));
		if (series == NULL)
			dp_log_out_of_memory("new sensors");
		p->series = series;
		p->size = wanted;
	}
	for (size_t i = 0; i < wanted; i++)
		p->series[i] = p->catalog->wanted[i].series;
	if (wanted > 0)
		qsort(p->series, wanted, sizeof(struct series *), compare_series);
	p->n = 0;
	for (size_t i = 0; i < wanted; i++) {
		if (p->n == 0 || p->series[p->n - 1] != p->series[i])
			p->series[p->n++] = p->series[i];
	}
}

void provision_run(struct provision *p, struct pg *pg, struct catalog *catalog,
	pg_on_done *done, void *data)
{
	p->pg = pg;
	p->catalog = catalog;
	p->done = done;
	p->data = data;
	collect_series(p);
	if (p->n == 0) {
		make_days(p);
		return;
	}
	wire_array_begin(&p->topics, WIRE_TEXT_ARRAY);
	wire_array_begin(&p->names, WIRE_TEXT_ARRAY);
	for (size_t i = 0; i < p->n; i++) {
		wire_text_field(wire_array_next(&p->topics), p->series[i]->topic);
		wire_text_field(wire_array_next(&p->names),
			p->series[i]->topic + p->series[i]->name_at);
	}
	const struct pg_value wanted[] = {pg_array(&p->topics), pg_array(&p->names)};
	/* The lock lets one replica in at a time, so each finds what others have made. */
	pg_begin(pg, on_rows, on_looked, p);
	pg_add(pg, SESSION_BEGIN, NULL, 0);
	pg_add(pg, DP_POSTGRES_LOCK, NULL, 0);
	pg_add(pg,
		"INSERT INTO sensor (topic, name) SELECT topic, name FROM " WANTED
		" WHERE NOT EXISTS (SELECT FROM sensor WHERE sensor.topic = wanted.topic"
		"  AND sensor.name = wanted.name AND sensor.part = 0)",
		wanted, 2);
	pg_add(pg, PARTS, wanted, 2);
	pg_add(pg,
		"SELECT n, part, col, quantity, unit FROM " WANTED
		" JOIN sensor USING (topic, name) JOIN channel ON channel.sensor = "
		"sensor.id",
		wanted, 2);
	pg_end(pg);
}

void provision_finish(struct provision *p)
{
	struct wire_array *const arrays[] = {&p->topics, &p->names, &p->part_of, &p->parts,
		&p->channel_of, &p->channel_parts, &p->columns, &p->quantities, &p->units,
		&p->days};
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		free(arrays[i]->wire.at);
	free(p->series);
}
