/* When readings leave that may wait: services/publisher/uplink/pacing.h and tick.h. */
#include "publisher/tick.h"
#include "publisher/uplink/pacing.h"
#include "support.h"

static void test_without_a_wait_and_a_period_all_leave_at_once(void **state)
{
	(void)state;
	struct pacing pacing;
	pacing_init(&pacing, 0, 0);
	assert_true(pacing_due(&pacing, 77) == 77);
	pacing_sent(&pacing, 77);
	assert_true(pacing_due(&pacing, 77) == 77);
}

static void test_what_comes_soon_waits_and_what_comes_later_does_not(void **state)
{
	(void)state;
	struct pacing pacing;
	pacing_init(&pacing, 10000, 0);
	assert_true(pacing_due(&pacing, 5) == 5);
	pacing_sent(&pacing, 5);
	assert_true(pacing_due(&pacing, 6) == 1005);
	assert_true(pacing_due(&pacing, 1006) == 1006);
	pacing_reset(&pacing);
	assert_true(pacing_due(&pacing, 6) == 6);
	/* Not longer with a longer wait: it would be lost with the node. */
	pacing_init(&pacing, 60000, 0);
	pacing_sent(&pacing, 5);
	assert_true(pacing_due(&pacing, 6) == 2005);
}

static void test_what_is_gathered_leaves_at_the_same_times_whenever_it_came(void **state)
{
	(void)state;
	struct pacing pacing;
	pacing_init(&pacing, 10000, 60000);
	assert_true(pacing_due(&pacing, 60000) == 120000);
	assert_true(pacing_due(&pacing, 119999) == 120000);
	pacing_sent(&pacing, 120000);
	assert_true(pacing_due(&pacing, 120000) == 180000);
	/* What was not answered, or not sent for want of a connection, has waited. */
	assert_true(pacing_due(&pacing, 100000) == 121000);
	assert_true(tick_after(120000, 60000) == 180000);
	assert_true(tick_after(120000, 0) == 120000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_wait_and_a_period_all_leave_at_once),
		cmocka_unit_test(test_what_comes_soon_waits_and_what_comes_later_does_not),
		cmocka_unit_test(
			test_what_is_gathered_leaves_at_the_same_times_whenever_it_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
