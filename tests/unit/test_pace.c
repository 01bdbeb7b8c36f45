#include "sampler/pace.h"
#include "support.h"

static void test_ten_thousand_periods_drift_by_nothing(void **state)
{
	struct pace pace;
	uint64_t random = 42;
	int64_t now = 1000, first = now, reads = 0;
	(void)state;
	pace_init(&pace, 100, 0, 0, first);
	while (now < first + INT64_C(10000) * 100) {
		/* The loop wakes a little late, and a read takes up to a period. */
		now += (int64_t)random_below(&random, 5);
		pace_tried(&pace, now);
		reads++;
		now += (int64_t)random_below(&random, 95);
		int64_t at = pace_next(&pace, now, false);
		assert_int_equal((at - first) % 100, 0);
		assert_true(at >= now && at <= now + 100);
		now = at;
	}
	assert_int_equal(reads, 10000);
}

static void test_deadlines_that_have_passed_are_skipped(void **state)
{
	struct pace pace;
	(void)state;
	pace_init(&pace, 100, 0, 0, 0);
	pace_tried(&pace, 0);
	assert_int_equal(pace_next(&pace, 250, false), 300);
	pace_tried(&pace, 300);
	assert_int_equal(pace_next(&pace, 400, false), 400);
	pace_tried(&pace, 400);
	assert_int_equal(pace_next(&pace, 1000000001, false), 1000000100);
}

static void test_a_failed_read_is_tried_again_within_its_period(void **state)
{
	struct pace pace;
	(void)state;
	pace_init(&pace, 10000, 2000, 2, 0);
	pace_tried(&pace, 5);
	assert_int_equal(pace_next(&pace, 35, true), 2005);
	pace_tried(&pace, 2005);
	assert_int_equal(pace_next(&pace, 2035, true), 4005);
	/* Two retries, then the next period. */
	pace_tried(&pace, 4005);
	assert_int_equal(pace_next(&pace, 4035, true), 10000);
	/* A retry that helps ends it. */
	pace_tried(&pace, 10000);
	assert_int_equal(pace_next(&pace, 10030, true), 12000);
	pace_tried(&pace, 12000);
	assert_int_equal(pace_next(&pace, 12030, false), 20000);
	pace_tried(&pace, 20000);
	assert_int_equal(pace_next(&pace, 20030, true), 22000);
}

static void test_a_retry_leaves_the_next_deadline_its_interval(void **state)
{
	struct pace pace;
	(void)state;
	/* At 2000 it could be tried again, and at 3000 it would be too soon for the next.
	 */
	pace_init(&pace, 3000, 2000, 2, 0);
	pace_tried(&pace, 0);
	assert_int_equal(pace_next(&pace, 30, true), 3000);
	pace_init(&pace, 4000, 2000, 2, 0);
	pace_tried(&pace, 0);
	assert_int_equal(pace_next(&pace, 30, true), 2000);
}

static void test_a_period_shorter_than_the_interval_is_stretched(void **state)
{
	struct pace pace;
	(void)state;
	pace_init(&pace, 500, 2000, 2, 0);
	pace_tried(&pace, 0);
	assert_int_equal(pace_next(&pace, 30, false), 2000);
	pace_tried(&pace, 2000);
	assert_int_equal(pace_next(&pace, 2030, true), 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_thousand_periods_drift_by_nothing),
		cmocka_unit_test(test_deadlines_that_have_passed_are_skipped),
		cmocka_unit_test(test_a_failed_read_is_tried_again_within_its_period),
		cmocka_unit_test(test_a_retry_leaves_the_next_deadline_its_interval),
		cmocka_unit_test(test_a_period_shorter_than_the_interval_is_stretched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
