#include "clock.h"
#include "support.h"

#include <time.h>

#define BUILT_S INT64_C(1700000000)

struct fake {
	int64_t wall_us;
	int synchronised;
	int64_t boot_ns;
};

static int64_t fake_boot_ns(void *data)
{
	const struct fake *fake = data;
	return fake->boot_ns;
}

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
	struct fake fake = {wall_us, synchronised, 0};
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

/* A board that is watched: its clock is `off_s` ahead of the right time. */
struct board {
	struct dp_clock_watch watch;
	struct fake fake;
	enum dp_clock_trust trust;
};

static enum dp_clock_mark later(
	struct board *board, int64_t after_s, int64_t off_s, int synchronised)
{
	const struct dp_clock clock = {.wall_us = fake_wall_us,
		.boot_ns = fake_boot_ns,
		.synchronised = fake_synchronised,
		.data = &board->fake};
	board->fake.boot_ns += after_s * INT64_C(1000000000);
	board->fake.wall_us =
		(BUILT_S + 86400 + off_s) * 1000000 + board->fake.boot_ns / 1000;
	board->fake.synchronised = synchronised;
	const struct dp_clock_now now =
		dp_clock_look(&board->watch, &clock, board->trust, BUILT_S);
	assert_int_equal(now.wall_us, board->fake.wall_us);
	assert_int_equal(now.boot_ns, board->fake.boot_ns);
	return now.mark;
}

#define TEN_YEARS_S INT64_C(315360000)

static void test_a_clock_that_jumps_is_doubted_until_it_is_back(void **state)
{
	(void)state;
	struct board board = {.trust = DP_CLOCK_TRUST_AUTO};
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_SYNCED);
	for (int i = 0; i < 100; i++)
		assert_int_equal(later(&board, 1, TEN_YEARS_S, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_SYNCED);
	assert_int_equal(later(&board, 1, -3600, 1), DP_CLOCK_UNSYNCED);
	/* Days without a reading are no step; nor is what is smaller than one, each time.
	 */
	assert_int_equal(later(&board, 1000000, 4, 1), DP_CLOCK_SYNCED);
	assert_int_equal(later(&board, 1, 8, 1), DP_CLOCK_SYNCED);
	assert_int_equal(later(&board, 1, 14, 1), DP_CLOCK_UNSYNCED);
}

static void test_a_clock_that_keeps_to_its_new_time_is_believed(void **state)
{
	(void)state;
	struct board board = {.trust = DP_CLOCK_TRUST_KERNEL};
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_SYNCED);
	assert_int_equal(later(&board, 1, 3600, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 599, 3600, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 1, 3600, 1), DP_CLOCK_SYNCED);
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_UNSYNCED);
	/* Another step, or nobody who vouches for it: ten minutes more. */
	assert_int_equal(later(&board, 599, 0, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 2, 60, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 599, 60, 0), DP_CLOCK_NONE);
	assert_int_equal(later(&board, 1, 60, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 600, 60, 1), DP_CLOCK_SYNCED);
}

static void test_a_first_synchronisation_is_no_jump(void **state)
{
	(void)state;
	struct board board = {.trust = DP_CLOCK_TRUST_AUTO};
	assert_int_equal(later(&board, 1, -TEN_YEARS_S, 0), DP_CLOCK_NONE);
	assert_int_equal(later(&board, 1, TEN_YEARS_S, 0), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_SYNCED);
	/* Setting the clock makes it unsynchronised for a moment: that hides no jump. */
	assert_int_equal(later(&board, 1, TEN_YEARS_S, 0), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 1, TEN_YEARS_S, 1), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 1, 0, 0), DP_CLOCK_UNSYNCED);
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_SYNCED);
}

static void test_a_clock_that_is_always_trusted_is_never_doubted(void **state)
{
	(void)state;
	struct board board = {.trust = DP_CLOCK_TRUST_ALWAYS};
	assert_int_equal(later(&board, 1, 0, 1), DP_CLOCK_SYNCED);
	assert_int_equal(later(&board, 1, TEN_YEARS_S, 1), DP_CLOCK_SYNCED);
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
		cmocka_unit_test(test_a_clock_that_jumps_is_doubted_until_it_is_back),
		cmocka_unit_test(test_a_clock_that_keeps_to_its_new_time_is_believed),
		cmocka_unit_test(test_a_first_synchronisation_is_no_jump),
		cmocka_unit_test(test_a_clock_that_is_always_trusted_is_never_doubted),
		cmocka_unit_test(test_marks_have_names_that_are_read_back),
		cmocka_unit_test(test_what_counts_as_good_has_a_name),
		cmocka_unit_test(test_marks_are_stored_as_the_schema_says),
		cmocka_unit_test(test_the_kernels_clocks_go_forward_in_their_units),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
