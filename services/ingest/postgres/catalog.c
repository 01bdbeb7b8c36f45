#include "catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define DAY_US INT64_C(86400000000)
#define DAYS_AGAIN_US INT64_C(60000000)
/* No partition is made for older or younger readings, whose clock was wrong: they go to
 * the default one. An outbox holds a year at most. */
#define DAYS_BACK 400
#define DAYS_AHEAD 2
#define SAME_WANTED 64

void catalog_begin(struct catalog *catalog, int64_t now_us, int64_t dropped_until_us)
{
	catalog->now_us = now_us;
	catalog->dropped_until_us = dropped_until_us;
	catalog->last_day = -1;
	catalog->n_wanted = 0;
	catalog->wants_series = false;
	dp_intervals_clear(&catalog->wanted_days);
}

static void want_channel(struct catalog *catalog, struct series *series, bool begins,
	const struct dp_value *value)
{
	if (catalog->n_wanted == catalog->wanted_size) {
		size_t size = catalog->wanted_size == 0 ? 64 : catalog->wanted_size * 2;
		struct wanted_channel *at = realloc(catalog->wanted, size * sizeof(*at));
		if (at == NULL)
			dp_log_out_of_memory("new columns");
		catalog->wanted = at;
		catalog->wanted_size = size;
	}
	struct wanted_channel *wanted = &catalog->wanted[catalog->n_wanted++];
	*wanted = (struct wanted_channel){.series = series, .begins = begins};
	snprintf(wanted->channel.quantity, sizeof(wanted->channel.quantity), "%.*s",
		(int)value->quantity.len, value->quantity.at);
	snprintf(wanted->channel.unit, sizeof(wanted->channel.unit), "%.*s",
		(int)value->unit.len, value->unit.at);
}

static bool same_channels(
	const struct wanted_channel *a, const struct wanted_channel *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i].series != b[i].series || a[i].begins != b[i].begins ||
			strcmp(a[i].channel.quantity, b[i].channel.quantity) != 0 ||
			strcmp(a[i].channel.unit, b[i].channel.unit) != 0)
			return false;
	}
	return true;
}

/* Want the columns that a reading does not have. */
static void want_columns(
	struct catalog *catalog, struct series *series, const struct dp_reading *reading)
{
	size_t begin = catalog->n_wanted;
	for (unsigned i = 0; i < reading->n; i++) {
		if (!series_has(&catalog->series, series, &reading->values[i]))
			want_channel(catalog, series, catalog->n_wanted == begin,
				&reading->values[i]);
	}
	/* Many readings of one sensor in a row want the same: keep it once. */
	size_t n = catalog->n_wanted - begin;
	for (size_t back = n; back <= begin && back < SAME_WANTED; back++) {
		const struct wanted_channel *old = &catalog->wanted[begin - back];
		bool whole = back == n || catalog->wanted[begin - back + n].begins;
		if (whole && same_channels(old, &catalog->wanted[begin], n)) {
			catalog->n_wanted = begin;
			return;
		}
	}
}

int catalog_want_day(struct catalog *catalog, int64_t ts_us)
{
	int64_t day = ts_us / DAY_US, today = catalog->now_us / DAY_US;
	if (day == catalog->last_day || catalog->now_us < catalog->days_again_us ||
		day < today - DAYS_BACK || day > today + DAYS_AHEAD || day < 0 ||
		(day + 1) * DAY_US <= catalog->dropped_until_us)
		return 0;
	catalog->last_day = day;
	if (dp_intervals_contains(&catalog->days, (uint64_t)day))
		return 0;
	return dp_intervals_add(&catalog->wanted_days, (uint64_t)day, (uint64_t)day);
}

int catalog_find_place(struct catalog *catalog, const char *topic,
	const struct dp_reading *reading, struct place *place)
{
	struct series *series = series_find(&catalog->series, topic, reading->sensor);
	if (series == NULL)
		series = series_add(&catalog->series, topic, reading->sensor, 0, 0);
	if (series == NULL)
		return -ENOMEM;
	int err = series_place(&catalog->series, series, reading, place);
	if (err != -ENOENT)
		return err;
	want_columns(catalog, series, reading);
	catalog->wants_series = true;
	return 0;
}

bool catalog_is_short(const struct catalog *catalog)
{
	return catalog->wants_series || catalog->wanted_days.n > 0;
}

int catalog_note_days(struct catalog *catalog)
{
	const struct dp_intervals *days = &catalog->wanted_days;
	int err = 0;
	for (size_t i = 0; err == 0 && i < days->n; i++)
		err = dp_intervals_add(&catalog->days, days->at[i].first, days->at[i].last);
	return err;
}

void catalog_postpone_days(struct catalog *catalog)
{
	catalog->days_again_us = catalog->now_us + DAYS_AGAIN_US;
}

void catalog_forget_series(struct catalog *catalog)
{
	series_clear(&catalog->series);
}

void catalog_forget(struct catalog *catalog)
{
	series_clear(&catalog->series);
	dp_intervals_clear(&catalog->days);
}

void catalog_finish(struct catalog *catalog)
{
	catalog_forget(catalog);
	dp_intervals_finish(&catalog->days);
	dp_intervals_finish(&catalog->wanted_days);
	free(catalog->wanted);
}
