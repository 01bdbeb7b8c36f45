#include "ingest/series.h"
#include "support.h"

#define MANY 1000

static struct dp_value value_of(const char *quantity, const char *unit)
{
	return (struct dp_value){dp_slice(quantity), dp_slice(unit), 0};
}

static void test_nothing_is_remembered_at_first(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	assert_null(series_find(&cache, "/data/a", dp_slice("climate")));
	series_clear(&cache);
}

static void test_a_series_is_found_by_topic_and_name(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	struct series *a = series_add(&cache, "/data/a", dp_slice("climate"), 0, 7);
	struct series *b = series_add(&cache, "/data/b", dp_slice("climate"), 0, 8);
	struct series *unnamed = series_add(&cache, "/data/a", dp_slice(""), 0, 9);
	assert_ptr_equal(series_find(&cache, "/data/a", dp_slice("climate")), a);
	assert_ptr_equal(series_find(&cache, "/data/b", dp_slice("climate")), b);
	assert_ptr_equal(series_find(&cache, "/data/a", dp_slice("")), unnamed);
	assert_null(series_find(&cache, "/data/a", dp_slice("climat")));
	assert_null(series_find(&cache, "/data/aclimate", dp_slice("")));
	assert_int_equal(a->sensor, 7);
	assert_int_equal(b->sensor, 8);
	series_clear(&cache);
}

static void test_names_need_not_end_in_a_nul(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	struct series *series = series_add(
		&cache, "/data/a", (struct dp_slice){"climate-and-more", 7}, 0, 1);
	assert_string_equal(series->topic + series->name_at, "climate");
	assert_ptr_equal(series_find(&cache, "/data/a", dp_slice("climate")), series);
	series_clear(&cache);
}

static void test_many_series_are_remembered_and_then_forgotten(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	struct series *all[MANY];
	char topic[32];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			snprintf(topic, sizeof(topic), "/data/node-%d", i / 2);
			all[i] = series_add(
				&cache, topic, dp_slice(i % 2 == 0 ? "a" : "b"), 0, i);
			assert_non_null(all[i]);
		}
		assert_int_equal(cache.n, MANY);
		for (int i = 0; i < MANY; i++) {
			snprintf(topic, sizeof(topic), "/data/node-%d", i / 2);
			assert_ptr_equal(series_find(&cache, topic,
						 dp_slice(i % 2 == 0 ? "a" : "b")),
				all[i]);
			assert_int_equal(all[i]->sensor, i);
		}
		series_clear(&cache);
		assert_int_equal(cache.n, 0);
		assert_null(series_find(&cache, "/data/node-0", dp_slice("a")));
	}
}

/* A reading of some quantities without a unit, named by numbers from one on. */
struct numbered {
	char names[DP_READING_VALUES][16];
	struct dp_reading reading;
};

static const struct dp_reading *number(struct numbered *of, int from, unsigned n)
{
	of->reading = (struct dp_reading){.n = n};
	for (unsigned i = 0; i < n; i++) {
		snprintf(of->names[i], sizeof(of->names[i]), "q%d", from + (int)i);
		of->reading.values[i] = value_of(of->names[i], "");
	}
	return &of->reading;
}

static int set(struct series_cache *cache, struct series *part, int column,
	const char *quantity, const char *unit)
{
	const struct dp_value value = value_of(quantity, unit);
	return series_set_column(cache, part, column, &value);
}

/* Make what a reading needs, as both stores do. */
static void make_columns(
	struct series_cache *cache, struct series *first, const struct dp_reading *reading)
{
	struct place place;
	struct series *part;
	assert_int_equal(series_place(cache, first, reading, &place), -ENOENT);
	assert_int_equal(place.n, 0);
	for (unsigned i = 0; i < reading->n; i++) {
		int column = series_free_column(first, &reading->values[i], &part);
		if (part == NULL)
			part = series_add_part(cache, first, series_next_part(first),
				series_next_part(first));
		assert_int_equal(part->columns[column], 0);
		assert_int_equal(
			series_set_column(cache, part, column, &reading->values[i]), 0);
	}
	assert_int_equal(series_place(cache, first, reading, &place), 0);
}

static void test_a_new_series_has_no_columns(void **state)
{
	(void)state;
	const struct dp_value temperature = value_of("temperature", "Cel");
	struct series_cache cache = {.size = 0};
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 0, 1);
	assert_false(series_has(&cache, series, &temperature));
	series_clear(&cache);
}

static void test_temperature_and_humidity_have_columns_of_their_own(void **state)
{
	(void)state;
	const struct dp_value temperature = value_of("temperature", "Cel");
	const struct dp_value humidity = value_of("humidity", "%RH");
	const struct dp_value kelvin = value_of("temperature", "K");
	const struct dp_value pressure = value_of("pressure", "hPa");
	struct series_cache cache = {.size = 0};
	struct series *part;
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 0, 1);
	assert_int_equal(series_free_column(series, &humidity, &part), 1);
	assert_ptr_equal(part, series);
	assert_int_equal(series_free_column(series, &temperature, &part), 0);
	assert_ptr_equal(part, series);
	assert_int_equal(series_free_column(series, &kelvin, &part), 2);
	assert_int_equal(series_free_column(series, &pressure, &part), 2);
	assert_ptr_equal(part, series);
	series_clear(&cache);
}

static void test_a_column_is_found_by_quantity_and_unit(void **state)
{
	(void)state;
	const struct dp_value bar = value_of("pressure", "bar");
	struct dp_reading reading = {.n = 1, .values = {value_of("pressure", "hPa")}};
	struct place place;
	struct series_cache cache = {.size = 0};
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 0, 1);
	assert_int_equal(set(&cache, series, 4, "pressure", "hPa"), 0);
	assert_int_equal(series_place(&cache, series, &reading, &place), 0);
	assert_int_equal(place.n, 1);
	assert_ptr_equal(place.parts[0], series);
	assert_int_equal(place.row[0], 0);
	assert_int_equal(place.column[0], 4);
	assert_false(series_has(&cache, series, &bar));
	series_clear(&cache);
}

static void test_what_does_not_fit_in_six_columns_gets_another_part(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	struct numbered all;
	struct place place;
	struct series *first = series_add(&cache, "/data/a", dp_slice("adc"), 0, 7);
	const struct dp_reading *reading = number(&all, 0, 8);
	make_columns(&cache, first, reading);
	assert_int_equal(series_place(&cache, first, reading, &place), 0);
	assert_int_equal(place.n, 2);
	assert_ptr_equal(place.parts[0], first);
	assert_ptr_equal(place.parts[1], series_part(first, 1));
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(place.row[i], i / 6);
		assert_int_equal(place.column[i], 2 + i % 6);
	}
	/* Temperature's column is still free in the first, and is nobody's in the second.
	 */
	struct dp_reading mixed = {
		.n = 2, .values = {value_of("q7", ""), value_of("temperature", "Cel")}};
	struct series *part;
	assert_int_equal(series_free_column(first, &mixed.values[1], &part), 0);
	assert_ptr_equal(part, first);
	assert_int_equal(series_set_column(&cache, part, 0, &mixed.values[1]), 0);
	/* Rows come in the order of the values. */
	assert_int_equal(series_place(&cache, first, &mixed, &place), 0);
	assert_int_equal(place.n, 2);
	assert_int_equal(place.parts[0]->part, 1);
	assert_int_equal(place.column[0], 3);
	assert_ptr_equal(place.parts[1], first);
	assert_int_equal(place.column[1], 0);
	assert_int_equal(cache.n, 1);
	assert_int_equal(cache.parts, 2);
	series_clear(&cache);
	assert_int_equal(cache.parts, 0);
}

static void test_a_reading_fits_as_a_whole_or_not_at_all(void **state)
{
	(void)state;
	const int most = SERIES_PARTS * (SERIES_COLUMNS - SERIES_RESERVED);
	struct series_cache cache = {.size = 0};
	struct numbered some;
	struct place place;
	struct series *first = series_add(&cache, "/data/a", dp_slice("a"), 0, 1);
	for (int made = 0; made < most - 2; made += 5)
		make_columns(&cache, first, number(&some, made, 5));
	/* Two columns are left: not for three, but for two, and for the paper's two. */
	assert_int_equal(
		series_place(&cache, first, number(&some, most, 3), &place), -E2BIG);
	assert_int_equal(place.n, 0);
	number(&some, most, 4);
	some.reading.values[2] = value_of("temperature", "Cel");
	some.reading.values[3] = value_of("humidity", "%RH");
	make_columns(&cache, first, &some.reading);
	assert_int_equal(
		series_place(&cache, first, number(&some, most + 2, 1), &place), -E2BIG);
	/* What it knows it still takes. */
	assert_int_equal(series_place(&cache, first, number(&some, 40, 8), &place), 0);
	assert_int_equal(cache.parts, SERIES_PARTS);
	series_clear(&cache);
}

static void test_parts_that_others_made_may_leave_numbers_out(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	struct series *first = series_add(&cache, "/data/a", dp_slice("a"), 3, 1);
	struct series *other = series_add_part(&cache, first, 9, 2);
	assert_ptr_equal(series_part(first, 3), first);
	assert_ptr_equal(series_part(first, 9), other);
	assert_null(series_part(first, 0));
	assert_int_equal(series_next_part(first), 10);
	series_clear(&cache);
}

static void test_sensors_share_what_their_columns_are(void **state)
{
	(void)state;
	const struct dp_value pressure = value_of("pressure", "hPa");
	struct series_cache cache = {.size = 0};
	struct series *all[MANY];
	char text[32];
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%d", i);
		all[i] = series_add(&cache, "/data/a", dp_slice(text), 0, i);
		assert_int_equal(set(&cache, all[i], 2, "pressure", "hPa"), 0);
	}
	assert_int_equal(cache.n_channels, 1);
	/* So many of their own that the shared one is out of sight. */
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "q%d", i);
		assert_int_equal(set(&cache, all[i], 3, text, "hPa"), 0);
	}
	assert_int_equal(set(&cache, all[0], 4, "pressure", "hPa"), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "q%d", i);
		const struct dp_value own = value_of(text, "hPa");
		assert_true(series_has(&cache, all[i], &pressure));
		assert_true(series_has(&cache, all[i], &own));
		assert_false(series_has(&cache, all[(i + 1) % MANY], &own));
	}
	series_clear(&cache);
	assert_int_equal(cache.n_channels, 0);
}

/* A sensor of all the quantities there may be is read again for each new one. */
static void test_a_wide_sensor_is_not_remembered_again_and_again(void **state)
{
	(void)state;
	struct series_cache cache = {.size = 0};
	struct series *a = series_add(&cache, "/data/a", dp_slice("a"), 0, 1);
	struct series *b = series_add(&cache, "/data/a", dp_slice("b"), 0, 2);
	char text[16];
	const size_t quantities = (size_t)SERIES_PARTS * SERIES_COLUMNS;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < quantities; i++) {
			snprintf(text, sizeof(text), "q%d", (int)i);
			assert_int_equal(
				set(&cache, a, (int)(i % SERIES_COLUMNS), text, ""), 0);
			assert_int_equal(
				set(&cache, b, (int)(i % SERIES_COLUMNS), text, ""), 0);
		}
	}
	assert_int_equal(cache.n_channels, quantities);
	series_clear(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_remembered_at_first),
		cmocka_unit_test(test_a_series_is_found_by_topic_and_name),
		cmocka_unit_test(test_names_need_not_end_in_a_nul),
		cmocka_unit_test(test_many_series_are_remembered_and_then_forgotten),
		cmocka_unit_test(test_a_new_series_has_no_columns),
		cmocka_unit_test(test_temperature_and_humidity_have_columns_of_their_own),
		cmocka_unit_test(test_a_column_is_found_by_quantity_and_unit),
		cmocka_unit_test(test_what_does_not_fit_in_six_columns_gets_another_part),
		cmocka_unit_test(test_a_reading_fits_as_a_whole_or_not_at_all),
		cmocka_unit_test(test_parts_that_others_made_may_leave_numbers_out),
		cmocka_unit_test(test_sensors_share_what_their_columns_are),
		cmocka_unit_test(test_a_wide_sensor_is_not_remembered_again_and_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
