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
	struct series *a = series_add(&cache, "/data/a", dp_slice("climate"), 7);
	struct series *b = series_add(&cache, "/data/b", dp_slice("climate"), 8);
	struct series *unnamed = series_add(&cache, "/data/a", dp_slice(""), 9);
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
	struct series *series =
		series_add(&cache, "/data/a", (struct dp_slice){"climate-and-more", 7}, 1);
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
				&cache, topic, dp_slice(i % 2 == 0 ? "a" : "b"), i);
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

static void test_a_new_series_has_no_columns(void **state)
{
	(void)state;
	const struct dp_value temperature = value_of("temperature", "Cel");
	struct series_cache cache = {.size = 0};
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 1);
	assert_int_equal(series_column(&cache, series, &temperature), -1);
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
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 1);
	assert_int_equal(series_free_column(series, &humidity), 1);
	assert_int_equal(series_free_column(series, &temperature), 0);
	assert_int_equal(series_free_column(series, &kelvin), 2);
	assert_int_equal(series_free_column(series, &pressure), 2);
	series_clear(&cache);
}

static void test_a_column_is_found_by_quantity_and_unit(void **state)
{
	(void)state;
	const struct dp_value pressure = value_of("pressure", "hPa");
	const struct dp_value bar = value_of("pressure", "bar");
	struct series_cache cache = {.size = 0};
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 1);
	assert_int_equal(series_set_column(&cache, series, 4, "pressure", "hPa"), 0);
	assert_int_equal(series_column(&cache, series, &pressure), 4);
	assert_int_equal(series_column(&cache, series, &bar), -1);
	series_clear(&cache);
}

static void test_other_quantities_have_six_columns_and_no_more(void **state)
{
	(void)state;
	const struct dp_value temperature = value_of("temperature", "Cel");
	struct series_cache cache = {.size = 0};
	struct series *series = series_add(&cache, "/data/a", dp_slice("climate"), 1);
	char quantity[16];
	for (int i = 2; i < SERIES_COLUMNS; i++) {
		snprintf(quantity, sizeof(quantity), "q%d", i);
		const struct dp_value value = value_of(quantity, "");
		assert_int_equal(series_free_column(series, &value), i);
		assert_int_equal(series_set_column(&cache, series, i, quantity, ""), 0);
		assert_int_equal(series_column(&cache, series, &value), i);
	}
	const struct dp_value another = value_of("another", "");
	assert_int_equal(series_free_column(series, &another), -1);
	assert_int_equal(series_free_column(series, &temperature), 0);
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
		all[i] = series_add(&cache, "/data/a", dp_slice(text), i);
		assert_int_equal(
			series_set_column(&cache, all[i], 2, "pressure", "hPa"), 0);
	}
	assert_int_equal(cache.n_channels, 1);
	/* So many of their own that the shared one is out of sight. */
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "q%d", i);
		assert_int_equal(series_set_column(&cache, all[i], 3, text, "hPa"), 0);
	}
	assert_int_equal(series_set_column(&cache, all[0], 4, "pressure", "hPa"), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "q%d", i);
		const struct dp_value own = value_of(text, "hPa");
		assert_int_equal(series_column(&cache, all[i], &pressure), 2);
		assert_int_equal(series_column(&cache, all[i], &own), 3);
	}
	series_clear(&cache);
	assert_int_equal(cache.n_channels, 0);
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
		cmocka_unit_test(test_other_quantities_have_six_columns_and_no_more),
		cmocka_unit_test(test_sensors_share_what_their_columns_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
