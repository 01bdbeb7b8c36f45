#include "publisher/streams/dating.h"
#include "support.h"

#define DAY_US ((int64_t)86400 * 1000000)
#define NOW_US INT64_C(1790000000000000)
#define FLOOR_US INT64_C(1700000000000000)
#define SECOND_NS INT64_C(1000000000)

static struct boot *boot_of(struct dating *dating, const char *id, int64_t last_s)
{
	struct boot *boot = dating_boot(dating, id);
	assert_non_null(boot);
	dating_note(boot, last_s * SECOND_NS);
	return boot;
}

/* Seconds after FLOOR_US. */
static int64_t when(const struct boot *boot, int64_t boottime_s)
{
	assert_int_not_equal(boot->mark, DP_CLOCK_NONE);
	return (dating_time(boot, boottime_s * SECOND_NS) - FLOOR_US) / 1000000;
}

static struct dating_now unknown(const char *id, int64_t boot_s, bool late)
{
	return (struct dating_now){.boot_id = id,
		.boot_ns = boot_s * SECOND_NS,
		.wall_us = boot_s * 1000000,
		.mark = DP_CLOCK_NONE,
		.late = late};
}

static struct dating_now known(const char *id, int64_t boot_s, enum dp_clock_mark mark)
{
	return (struct dating_now){.boot_id = id,
		.boot_ns = boot_s * SECOND_NS,
		.wall_us = FLOOR_US + DAY_US + boot_s * 1000000,
		.mark = mark};
}

static void test_a_boot_is_found_again_and_stays_where_it_is(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *first = boot_of(&dating, "first", 1);
	for (int i = 0; i < 100; i++) {
		char id[24];
		snprintf(id, sizeof(id), "boot-%d", i);
		boot_of(&dating, id, 1);
	}
	assert_ptr_equal(dating_boot(&dating, "first"), first);
	assert_int_equal(dating.n, 101);
	assert_string_equal(dating.boots[100]->id, "boot-99");
	dating_note(first, 5 * SECOND_NS);
	dating_note(first, 2 * SECOND_NS);
	assert_int_equal(first->last_ns, 5 * SECOND_NS);
	dating_finish(&dating);
	assert_int_equal(dating.n, 0);
}

static void test_nothing_is_dated_before_the_clock_is_plausible(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *boot = boot_of(&dating, "a", 10);
	const struct dating_now now = unknown("a", 20, false);
	dating_decide(&dating, &now);
	assert_int_equal(boot->mark, DP_CLOCK_NONE);
	assert_false(boot->due);
	dating_finish(&dating);
}

static void test_the_clock_of_the_same_boot_dates_exactly(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *boot = boot_of(&dating, "a", 10);
	const struct dating_now now = known("a", 3600, DP_CLOCK_UNSYNCED);
	dating_decide(&dating, &now);
	assert_int_equal(boot->mark, DP_CLOCK_UNSYNCED);
	assert_true(boot->due);
	assert_int_equal(when(boot, 10), 86400 + 10);
	/* Microseconds are kept. */
	assert_int_equal(dating_time(boot, 1500) - dating_time(boot, 500), 1);
	/* It is decided: what the clock does later changes nothing. */
	const struct dating_now stepped = known("a", 100, DP_CLOCK_SYNCED);
	dating_decide(&dating, &stepped);
	assert_int_equal(when(boot, 10), 86400 + 10);
	dating_finish(&dating);
}

static void test_a_boot_that_is_gone_ended_when_the_next_one_began(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *a = boot_of(&dating, "a", 100), *b = boot_of(&dating, "b", 50);
	struct boot *c = boot_of(&dating, "c", 7);
	const struct dating_now now = known("c", 20, DP_CLOCK_SYNCED);
	dating_decide(&dating, &now);
	assert_int_equal(c->mark, DP_CLOCK_SYNCED);
	assert_int_equal(b->mark, DP_CLOCK_GUESSED);
	assert_int_equal(a->mark, DP_CLOCK_GUESSED);
	assert_int_equal(when(c, 0), 86400);
	assert_int_equal(when(b, 50), 86400);
	assert_int_equal(when(b, 0), 86400 - 50);
	assert_int_equal(when(a, 100), 86400 - 50);
	dating_finish(&dating);
}

static void test_a_gone_boot_is_dated_though_this_one_has_nothing_to_date(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *a = boot_of(&dating, "a", 100);
	const struct dating_now now = known("other", 20, DP_CLOCK_SYNCED);
	dating_decide(&dating, &now);
	assert_int_equal(a->mark, DP_CLOCK_GUESSED);
	assert_int_equal(when(a, 100), 86400);
	dating_finish(&dating);
}

static void test_without_a_clock_boots_follow_one_another_from_the_floor(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *a = boot_of(&dating, "a", 100), *b = boot_of(&dating, "b", 50);
	struct boot *c = boot_of(&dating, "c", 7);
	const struct dating_now now = unknown("c", 3600, true);
	dating_decide(&dating, &now);
	assert_int_equal(when(a, 0), 0);
	assert_int_equal(when(a, 100), 100);
	assert_int_equal(when(b, 0), 100);
	assert_int_equal(when(c, 0), 150);
	assert_int_equal(a->mark, DP_CLOCK_GUESSED);
	assert_int_equal(b->mark, DP_CLOCK_GUESSED);
	assert_int_equal(c->mark, DP_CLOCK_GUESSED);
	/* The next boot without a clock does not begin before this one. */
	assert_int_equal(dating.floor_us, FLOOR_US + (150 + 3600) * INT64_C(1000000));
	dating_finish(&dating);
}

static void test_a_guess_is_replaced_when_the_clock_becomes_plausible(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *a = boot_of(&dating, "a", 100), *b = boot_of(&dating, "b", 50);
	const struct dating_now late = unknown("b", 60, true);
	dating_decide(&dating, &late);
	assert_int_equal(when(b, 0), 100);
	const struct dating_now now = known("b", 70, DP_CLOCK_SYNCED);
	dating_decide(&dating, &now);
	assert_int_equal(b->mark, DP_CLOCK_SYNCED);
	assert_int_equal(when(b, 0), 86400);
	/* What the guess has dated of an earlier boot stays as it is. */
	assert_int_equal(when(a, 0), 0);
	dating_finish(&dating);
}

static void test_another_boards_reading_was_taken_when_it_came(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *boot = boot_of(&dating, "elsewhere", 500);
	const struct dating_now blind = unknown("here", 60, false);
	dating_arrived(boot, 500 * SECOND_NS, &blind);
	assert_int_equal(boot->mark, DP_CLOCK_NONE);
	const struct dating_now now = known("here", 60, DP_CLOCK_SYNCED);
	dating_arrived(boot, 500 * SECOND_NS, &now);
	assert_int_equal(boot->mark, DP_CLOCK_GUESSED);
	assert_int_equal(when(boot, 500), 86400 + 60);
	dating_arrived(boot, 510 * SECOND_NS, &now);
	assert_int_equal(when(boot, 510), 86400 + 70);
	/* Our own boot is not guessed. */
	struct boot *here = boot_of(&dating, "here", 10);
	dating_arrived(here, 10 * SECOND_NS, &now);
	assert_int_equal(here->mark, DP_CLOCK_NONE);
	dating_finish(&dating);
}

static void test_an_absurd_time_since_boot_moves_nothing_out_of_range(void **state)
{
	(void)state;
	struct dating dating = {.floor_us = FLOOR_US};
	struct boot *a = dating_boot(&dating, "a"), *b = boot_of(&dating, "b", 5);
	assert_non_null(a);
	dating_note(a, INT64_MAX);
	const struct dating_now now = known("b", 20, DP_CLOCK_SYNCED);
	dating_decide(&dating, &now);
	assert_true(dating_time(a, 0) >= (int64_t)1000000 << 28);
	assert_true(dating_time(a, INT64_MAX) >= (int64_t)1000000 << 28);
	assert_true(dating_time(b, INT64_MAX) < NOW_US * 10);
	assert_int_equal(when(b, 5), 86400 + 5);
	dating_finish(&dating);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_boot_is_found_again_and_stays_where_it_is),
		cmocka_unit_test(test_nothing_is_dated_before_the_clock_is_plausible),
		cmocka_unit_test(test_the_clock_of_the_same_boot_dates_exactly),
		cmocka_unit_test(test_a_boot_that_is_gone_ended_when_the_next_one_began),
		cmocka_unit_test(
			test_a_gone_boot_is_dated_though_this_one_has_nothing_to_date),
		cmocka_unit_test(
			test_without_a_clock_boots_follow_one_another_from_the_floor),
		cmocka_unit_test(test_a_guess_is_replaced_when_the_clock_becomes_plausible),
		cmocka_unit_test(test_another_boards_reading_was_taken_when_it_came),
		cmocka_unit_test(test_an_absurd_time_since_boot_moves_nothing_out_of_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
