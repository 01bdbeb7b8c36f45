#include "provision.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "postgres.h"
#include "session.h"

#define DAYS_AGAIN_US INT64_C(60000000)
#define WANTED "unnest($1, $2) WITH ORDINALITY AS wanted (topic, name, n)"

/* Statements of the first group, by their number. */
enum { BEGIN, LOCK, ADD_SENSORS, FIND_SENSORS, FIND_CHANNELS };

static void give_up(struct provision *p, int err)
{
	series_clear(&p->insert->series);
	p->done(p->data, err);
}

/* ---- partitions ---- */

/* Readings are stored without: the default partition has them, until they move. */
static void on_undone(void *data, int err)
{
	struct provision *p = data;
	p->insert->days_again_us = p->insert->now_us + DAYS_AGAIN_US;
	p->done(p->data, err);
}

static void on_days_made(void *data, int err)
{
	struct provision *p = data;
	const struct dp_intervals *days = &p->insert->wanted_days;
	for (size_t i = 0; err == 0 && i < days->n; i++)
		err = dp_intervals_add(
			&p->insert->days, days->at[i].first, days->at[i].last);
	if (err != p->days_trouble && err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot make the partition of a day, will try again",
			"store=%s error=\"%s\"", pg_name(p->pg), pg_error(p->pg));
	p->days_trouble = err;
	if (err == 0 || err == -ENOTCONN)
		p->done(p->data, err);
	else
		pg_script(p->pg, "ROLLBACK", on_undone, p);
}

static void make_days(struct provision *p)
{
	const struct dp_intervals *days = &p->insert->wanted_days;
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
	/* Somebody's long query may hold the default partition: not for as long as that. */
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

static void set_column(struct provision *p, struct series *series, int column,
	const char *quantity, const char *unit)
{
	if (series_set_column(&p->insert->series, series, column, quantity, unit) != 0)
		dp_log_out_of_memory("new columns");
}

/* A column for each wanted quantity that still has none and for which one is free. */
static void assign_columns(struct provision *p)
{
	for (size_t i = 0; i < p->insert->n_wanted; i++) {
		const struct wanted_channel *wanted = &p->insert->wanted[i];
		const struct dp_value value = {
			.quantity = dp_slice(wanted->channel.quantity),
			.unit = dp_slice(wanted->channel.unit)};
		if (series_column(&p->insert->series, wanted->series, &value) >= 0)
			continue;
		int column = series_free_column(wanted->series, &value);
		if (column < 0)
			continue;
		set_column(p, wanted->series, column, wanted->channel.quantity,
			wanted->channel.unit);
		wire_int32_field(
			wire_array_next(&p->sensors), (int32_t)wanted->series->sensor);
		wire_int32_field(wire_array_next(&p->columns), column);
		wire_text_field(wire_array_next(&p->quantities), wanted->channel.quantity);
		wire_text_field(wire_array_next(&p->units), wanted->channel.unit);
	}
}

static void on_looked(void *data, int err)
{
	struct provision *p = data;
	if (err != 0) {
		give_up(p, err);
		return;
	}
	wire_array_begin(&p->sensors, WIRE_INT4_ARRAY);
	wire_array_begin(&p->columns, WIRE_INT4_ARRAY);
	wire_array_begin(&p->quantities, WIRE_TEXT_ARRAY);
	wire_array_begin(&p->units, WIRE_TEXT_ARRAY);
	assign_columns(p);
	const struct pg_value channels[] = {pg_array(&p->sensors), pg_array(&p->columns),
		pg_array(&p->quantities), pg_array(&p->units)};
	pg_begin(p->pg, NULL, on_made, p);
	pg_add(p->pg,
		"INSERT INTO channel (sensor, col, quantity, unit)"
		" SELECT * FROM unnest($1, $2, $3, $4)",
		channels, 4);
	pg_add(p->pg, "COMMIT", NULL, 0);
	pg_end(p->pg);
}

static void on_rows(void *data, int statement, const struct pg_rows *rows)
{
	struct provision *p = data;
	for (size_t i = 0; statement >= FIND_SENSORS && i < pg_count(rows); i++) {
		struct series *series = p->series[pg_int(rows, i, 0) - 1];
		if (statement == FIND_SENSORS) {
			series->sensor = pg_int(rows, i, 1);
			continue;
		}
		set_column(p, series, (int)pg_int(rows, i, 1), pg_text(rows, i, 2),
			pg_text(rows, i, 3));
	}
}

static int compare_series(const void *a, const void *b)
{
	const struct series *left = *(struct series *const *)a,
			    *right = *(struct series *const *)b;
	return (left > right) - (left < right);
}

static void collect_series(struct provision *p)
{
	size_t wanted = p->insert->n_wanted;
	if (wanted > p->size) {
		struct series **series = realloc(p->series, wanted * sizeof(*series));
		if (series == NULL)
			dp_log_out_of_memory("new sensors");
		p->series = series;
		p->size = wanted;
	}
	for (size_t i = 0; i < wanted; i++)
		p->series[i] = p->insert->wanted[i].series;
	if (wanted > 0)
		qsort(p->series, wanted, sizeof(struct series *), compare_series);
	p->n = 0;
	for (size_t i = 0; i < wanted; i++) {
		if (p->n == 0 || p->series[p->n - 1] != p->series[i])
			p->series[p->n++] = p->series[i];
	}
}

void provision_run(struct provision *p, struct pg *pg, struct insert *insert,
	pg_on_done *done, void *data)
{
	p->pg = pg;
	p->insert = insert;
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
	/* One replica at a time: each finds what the others have made. */
	pg_begin(pg, on_rows, on_looked, p);
	pg_add(pg, SESSION_BEGIN, NULL, 0);
	pg_add(pg, DP_POSTGRES_LOCK, NULL, 0);
	pg_add(pg,
		"INSERT INTO sensor (topic, name) SELECT topic, name FROM " WANTED
		" WHERE NOT EXISTS (SELECT FROM sensor WHERE sensor.topic = wanted.topic"
		"  AND sensor.name = wanted.name)",
		wanted, 2);
	pg_add(pg, "SELECT n, id FROM " WANTED " JOIN sensor USING (topic, name)", wanted,
		2);
	pg_add(pg,
		"SELECT n, col, quantity, unit FROM " WANTED
		" JOIN sensor USING (topic, name) JOIN channel ON channel.sensor = "
		"sensor.id",
		wanted, 2);
	pg_end(pg);
}

void provision_finish(struct provision *p)
{
	struct wire_array *const arrays[] = {&p->topics, &p->names, &p->sensors,
		&p->columns, &p->quantities, &p->units, &p->days};
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		free(arrays[i]->wire.at);
	free(p->series);
}
