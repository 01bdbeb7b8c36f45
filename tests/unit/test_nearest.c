#include <limits.h>

#include "nearest.h"
#include "support.h"

static void test_distances(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {{"", "", 0}, {"", "abc", 3}, {"dht22", "dht22", 0},
		{"DHT22", "dht22", 0}, {"dth22", "dht22", 1}, {"dht2", "dht22", 1},
		{"dht222", "dht22", 1}, {"dxt22", "dht22", 1}, {"kitten", "sitting", 3}};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(
			dp_nearest_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(
			dp_nearest_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
	assert_int_equal(dp_nearest_distance("a", "a word of more than thirty-one letters"),
		UINT_MAX);
}

static void test_what_is_close_is_suggested_and_what_is_far_is_not(void **state)
{
	static const char *const drivers[] = {"dht11", "dht22", "gpio-in", "sim"};
	(void)state;
	assert_string_equal(dp_nearest("dth22", drivers, 4), "dht22");
	assert_string_equal(dp_nearest("gpioin", drivers, 4), "gpio-in");
	assert_string_equal(dp_nearest("sm", drivers, 4), "sim");
	assert_null(dp_nearest("bme280", drivers, 4));
	assert_null(dp_nearest("x", drivers, 4));
	assert_null(dp_nearest("dht22", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distances),
		cmocka_unit_test(test_what_is_close_is_suggested_and_what_is_far_is_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
