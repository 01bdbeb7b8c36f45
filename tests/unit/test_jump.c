#include "retention-pruner/jump.h"
#include "support.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)

static bool seen(const char *was, bool was_synchronised, const char *is, bool synchronised,
	int64_t wall_us)
{
	char before[JUMP_BOOT_MAX], now[JUMP_BOOT_MAX];
	jump_boot(before, was, was_synchronised);
	jump_boot(now, is, synchronised);
	const struct jump_moment a = {1000 * DAY_US, DAY_US, before};
	const struct jump_moment b = {1000 * DAY_US + wall_us, DAY_US + HOUR_US, now};
	return jump_seen(&a, &b);
}

static void test_a_step_is_seen_whatever_is_known_of_the_clock(void **state)
{
	(void)state;
	static const char boot[] = "6f1c1a52-7a0e-4a6f-9d6b-0f2f7a3b9c11";
	assert_true(seen(boot, true, boot, true, 10 * DAY_US));
	assert_true(seen(boot, true, boot, false, 10 * DAY_US));
	assert_true(seen(boot, false, boot, false, 10 * DAY_US));
	/* It was set right. */
	assert_false(seen(boot, false, boot, true, 10 * DAY_US));
	assert_false(seen(boot, true, boot, true, 2 * HOUR_US));
	assert_false(seen(boot, true, "another", true, 10 * DAY_US));
	assert_false(seen("", true, "", false, 10 * DAY_US));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_step_is_seen_whatever_is_known_of_the_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
