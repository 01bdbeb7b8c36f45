#include "clock.h"
#include "support.h"

#include <time.h>

#define BUILT_S INT64_C(1700000000)

struct fake {
	int64_t wall_us;
	int synchronised;
};

static int64_t fake_wall_us(void *data)
{
	const struct fake *fake = data;
	return fake->wall_us;
}

static int fake_synchronised(void *data)
{
	const struct fake *fake = data;
	return fake->synchronised;
}

static enum dp_clock_mark mark(int64_t wall_us, int synchronised, enum dp_clock_trust trust)
{
	struct fake fake = {wall_us, synchronised};
	const struct dp_clock clock = {
		.wall_us = fake_wall_us, .synchronised = fake_synchronised, .data = &fake};
	return dp_clock_mark(&clock, trust, BUILT_S);
}

static void test_a_clock_before_the_build_date_is_worth_nothing(void **state)
{
	(void)state;
	assert_int_equal(mark(0, 1, DP_CLOCK_TRUST_AUTO), DP_CLOCK_NONE);
	assert_int_equal(mark(-1, 1, DP_CLOCK_TRUST_AUTO), DP_CLOCK_NONE);
	assert_int_equal(
		mark(BUILT_S * 1000000 - 1, 1, DP_CLOCK_TRUST_AUTO), DP_CLOCK_NONE);
	assert_int_equal(
		mark(BUILT_S * 1000000 - 1, 1, DP_CLOCK_TRUST_KERNEL), DP_CLOCK_NONE);
	assert_int_equal(mark(BUILT_S * 1000000, 1, DP_CLOCK_TRUST_AUTO), DP_CLOCK_SYNCED);
}

static void test_an_unsynchronised_clock_is_marked_or_refused_as_told(void **state)
{
	(void)state;
	int64_t now_us = BUILT_S * 1000000 + 1;
	assert_int_equal(mark(now_us, 0, DP_CLOCK_TRUST_AUTO), DP_CLOCK_UNSYNCED);
	assert_int_equal(mark(now_us, 0, DP_CLOCK_TRUST_KERNEL), DP_CLOCK_NONE);
	assert_int_equal(mark(now_us, 1, DP_CLOCK_TRUST_KERNEL), DP_CLOCK_SYNCED);
}

static void test_a_clock_that_is_always_trusted_need_not_be_plausible(void **state)
{
	(void)state;
	assert_int_equal(
		mark(BUILT_S * 1000000 - 1, 0, DP_CLOCK_TRUST_ALWAYS), DP_CLOCK_SYNCED);
	assert_int_equal(
		mark(BUILT_S * 1000000, 0, DP_CLOCK_TRUST_ALWAYS), DP_CLOCK_SYNCED);
}

static void test_a_time_that_cannot_be_sent_is_not_trusted(void **state)
{
	(void)state;
	/* 2^28 s: anything earlier is relative to now in SenML. */
	int64_t earliest_us = INT64_C(268435456000000);
	assert_int_equal(mark(earliest_us, 1, DP_CLOCK_TRUST_ALWAYS), DP_CLOCK_SYNCED);
	assert_int_equal(mark(earliest_us - 1, 1, DP_CLOCK_TRUST_ALWAYS), DP_CLOCK_NONE);
	assert_int_equal(mark(0, 1, DP_CLOCK_TRUST_ALWAYS), DP_CLOCK_NONE);
}

static void test_marks_have_names_that_are_read_back(void **state)
{
	(void)state;
	static const char *const names[] = {NULL, "unsynced", "guessed", "none"};
	static const char *const unknown[] = {"", "synced", "Guessed", "none ", "3"};
	enum dp_clock_mark back = DP_CLOCK_SYNCED;
	assert_null(dp_clock_mark_name(DP_CLOCK_SYNCED));
	for (unsigned i = DP_CLOCK_UNSYNCED; i <= DP_CLOCK_NONE; i++) {
		assert_string_equal(dp_clock_mark_name((enum dp_clock_mark)i), names[i]);
		assert_int_equal(dp_clock_parse_mark(names[i], &back), 0);
		assert_int_equal(back, i);
	}
	for (size_t i = 0; i < LENGTH(unknown); i++)
		assert_int_equal(dp_clock_parse_mark(unknown[i], &back), -EINVAL);
	assert_int_equal(back, DP_CLOCK_NONE);
}

static void test_what_counts_as_good_has_a_name(void **state)
{
	(void)state;
	enum dp_clock_trust trust;
	assert_int_equal(dp_clock_parse_trust("auto", &trust), 0);
	assert_int_equal(trust, DP_CLOCK_TRUST_AUTO);
	assert_int_equal(dp_clock_parse_trust("kernel", &trust), 0);
	assert_int_equal(trust, DP_CLOCK_TRUST_KERNEL);
	assert_int_equal(dp_clock_parse_trust("always", &trust), 0);
	assert_int_equal(trust, DP_CLOCK_TRUST_ALWAYS);
	assert_int_equal(dp_clock_parse_trust("Always", &trust), -EINVAL);
	assert_int_equal(dp_clock_parse_trust("", &trust), -EINVAL);
}

static void test_marks_are_stored_as_the_schema_says(void **state)
{
	(void)state;
	assert_int_equal(DP_CLOCK_SYNCED, 0);
	assert_int_equal(DP_CLOCK_UNSYNCED, 1);
	assert_int_equal(DP_CLOCK_GUESSED, 2);
}

static void test_the_kernels_clocks_go_forward_in_their_units(void **state)
{
	(void)state;
	struct dp_clock clock;
	struct timespec before, after;
	dp_clock_system(&clock);
	assert_int_equal(strlen(clock.boot_id), DP_BOOT_ID_LEN);
	clock_gettime(CLOCK_REALTIME, &before);
	int64_t wall_us = clock.wall_us(clock.data);
	clock_gettime(CLOCK_REALTIME, &after);
	assert_true(wall_us >= (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
	assert_true(wall_us <= (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
	clock_gettime(CLOCK_BOOTTIME, &before);
	int64_t boot_ns = clock.boot_ns(clock.data);
	clock_gettime(CLOCK_BOOTTIME, &after);
	assert_true(boot_ns >= (int64_t)before.tv_sec * 1000000000 + before.tv_nsec);
	assert_true(boot_ns <= (int64_t)after.tv_sec * 1000000000 + after.tv_nsec);
	int synchronised = clock.synchronised(clock.data);
	assert_true(synchronised == 0 || synchronised == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_clock_before_the_build_date_is_worth_nothing),
		cmocka_unit_test(test_an_unsynchronised_clock_is_marked_or_refused_as_told),
		cmocka_unit_test(test_a_clock_that_is_always_trusted_need_not_be_plausible),
		cmocka_unit_test(test_a_time_that_cannot_be_sent_is_not_trusted),
		cmocka_unit_test(test_marks_have_names_that_are_read_back),
		cmocka_unit_test(test_what_counts_as_good_has_a_name),
		cmocka_unit_test(test_marks_are_stored_as_the_schema_says),
		cmocka_unit_test(test_the_kernels_clocks_go_forward_in_their_units),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
