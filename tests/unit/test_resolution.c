#include "resolution.h"
#include "support.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define NOW (20000 * DAY)

/* Readings of 30 days, minutes of a year, hours of ten years. */
static const struct dp_resolution sizes[] = {
	{0, NOW - 30 * DAY}, {60 * SECOND, NOW - 365 * DAY}, {HOUR, NOW - 3650 * DAY}};

static size_t choose(int64_t from_us, int64_t until_us, int64_t points)
{
	return dp_resolution_choose(sizes, LENGTH(sizes), from_us, until_us, points);
}

static void test_the_coarsest_that_gives_the_points(void **state)
{
	(void)state;
	assert_int_equal(choose(NOW - HOUR, NOW, 1000), 0); /* 3.6 s a point */
	assert_int_equal(choose(NOW - HOUR, NOW, 60), 1);   /* exactly minutes */
	assert_int_equal(choose(NOW - HOUR, NOW, 61), 0);
	assert_int_equal(choose(NOW - DAY, NOW, 1000), 1); /* 86 s */
	assert_int_equal(choose(NOW - 30 * DAY, NOW, 720), 2);
	assert_int_equal(choose(NOW - 30 * DAY, NOW, 721), 1);
	assert_int_equal(choose(NOW - 365 * DAY, NOW, 1000), 2);
	assert_int_equal(choose(NOW - HOUR, NOW, 1), 2);
}

static void test_only_what_reaches_back(void **state)
{
	(void)state;
	/* An hour of last year: readings are gone, minutes are not. */
	assert_int_equal(choose(NOW - 200 * DAY, NOW - 200 * DAY + HOUR, 1000), 1);
	/* And of three years ago, when there are hours only. */
	assert_int_equal(choose(NOW - 1000 * DAY, NOW - 1000 * DAY + HOUR, 1000), 2);
	/* The bucket in which the span begins is still there. */
	assert_int_equal(choose(NOW - 365 * DAY - 30 * SECOND, NOW, 500000), 1);
	assert_int_equal(choose(NOW - 30 * DAY - 1, NOW, 100000000), 1);
}

static void test_before_everything_the_farthest(void **state)
{
	(void)state;
	assert_int_equal(choose(0, NOW, 1000), 2);
	assert_int_equal(choose(0, 1, 1), 2);
	/* A young database: everything reaches back as far. */
	const struct dp_resolution young[] = {
		{0, NOW - DAY}, {60 * SECOND, NOW - DAY}, {HOUR, NOW - DAY}};
	assert_int_equal(dp_resolution_choose(young, 3, NOW - 365 * DAY, NOW, 1000), 2);
	assert_int_equal(dp_resolution_choose(young, 3, NOW - HOUR, NOW, 1000), 0);
}

static void test_readings_alone(void **state)
{
	(void)state;
	assert_int_equal(dp_resolution_choose(sizes, 1, NOW - 365 * DAY, NOW, 10), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_coarsest_that_gives_the_points),
		cmocka_unit_test(test_only_what_reaches_back),
		cmocka_unit_test(test_before_everything_the_farthest),
		cmocka_unit_test(test_readings_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
