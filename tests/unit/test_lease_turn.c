/* Whose turn it is, by a row and a lock. */
#include "byte_lock.h"
#include "lease_turn.h"
#include "support.h"

#define TTL_US INT64_C(15000000)
#define TTL_NS (TTL_US * 1000)
#define NOW_US INT64_C(1800000000000000)
#define BOOT_NS INT64_C(5000000000)

static struct dp_lease ours(void)
{
	return (struct dp_lease){.name = "plain", .holder = "us", .ttl_us = TTL_US};
}

static struct dp_lease_row row_of(int64_t number, int64_t expires, int64_t byte)
{
	return (struct dp_lease_row){.there = true,
		.whole = true,
		.number = number,
		.expires = expires,
		.byte = byte};
}

static void test_a_row_that_is_seen_for_the_first_time(void **state)
{
	(void)state;
	static const struct {
		struct dp_lease_row row;
		enum dp_lease_turn turn;
	} cases[] = {
		{{.there = false}, DP_LEASE_FREE},
		/* By its lock. */
		{{true, false, true, 7, DP_LEASE_LOCKED, 100}, DP_LEASE_OTHERS},
		{{true, false, true, 7, DP_LEASE_LOCKED, DP_BYTE_FREE}, DP_LEASE_FREE},
		{{true, false, true, 7, DP_LEASE_LOCKED, DP_BYTE_UNKNOWN}, DP_LEASE_OTHERS},
		/* By its time, whatever is locked. */
		{{true, false, true, 7, NOW_US, DP_BYTE_FREE}, DP_LEASE_OTHERS},
		{{true, false, true, 7, NOW_US - 1, DP_BYTE_FREE}, DP_LEASE_FREE},
		{{true, false, true, 7, NOW_US - 1, 100}, DP_LEASE_FREE},
		{{true, false, true, 7, NOW_US + 2 * TTL_US, DP_BYTE_FREE},
			DP_LEASE_OTHERS},
		{{true, false, true, 7, NOW_US + 2 * TTL_US + 1, DP_BYTE_FREE},
			DP_LEASE_FREE},
		{{true, false, true, 7, 0, DP_BYTE_FREE}, DP_LEASE_FREE},
		/* Under our name, but not by us: an earlier run, or another one of the
		 * name that lives. */
		{{true, true, true, 7, NOW_US, DP_BYTE_FREE}, DP_LEASE_FREE},
		{{true, true, true, 7, DP_LEASE_LOCKED, DP_BYTE_FREE}, DP_LEASE_FREE},
		{{true, true, true, 7, DP_LEASE_LOCKED, 100}, DP_LEASE_OTHERS},
		/* Numbers that are none. */
		{{true, false, false, 7, NOW_US, 100}, DP_LEASE_FREE},
		{{true, true, true, 0, NOW_US, 100}, DP_LEASE_FREE},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_lease lease = ours();
		assert_int_equal(dp_lease_judge(&lease, &cases[i].row, NOW_US, BOOT_NS),
			cases[i].turn);
	}
}

static void test_it_is_ours_by_name_and_number(void **state)
{
	(void)state;
	struct dp_lease lease = ours();
	struct dp_lease_row row = row_of(7, DP_LEASE_LOCKED, DP_BYTE_FREE);
	row.ours = true;
	lease.number = 7;
	assert_int_equal(dp_lease_judge(&lease, &row, NOW_US, BOOT_NS), DP_LEASE_OURS);
	/* However long nobody has looked. */
	assert_int_equal(
		dp_lease_judge(&lease, &row, 0, BOOT_NS + 100 * TTL_NS), DP_LEASE_OURS);
	row.ours = false;
	row.byte = 100;
	assert_int_equal(dp_lease_judge(&lease, &row, NOW_US, BOOT_NS), DP_LEASE_OTHERS);
	row.ours = true;
	row.number = 8;
	assert_int_equal(dp_lease_judge(&lease, &row, NOW_US, BOOT_NS), DP_LEASE_OTHERS);
}

static void test_what_stands_still_for_a_ttl_is_over(void **state)
{
	(void)state;
	static const struct {
		int64_t expires, byte;
	} cases[] = {{DP_LEASE_LOCKED, 100}, {DP_LEASE_LOCKED, DP_BYTE_UNKNOWN},
		{NOW_US + TTL_US, DP_BYTE_FREE}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_lease lease = ours();
		struct dp_lease_row row = row_of(7, cases[i].expires, cases[i].byte);
		/* The wall clock stands still as well. */
		assert_int_equal(
			dp_lease_judge(&lease, &row, NOW_US, BOOT_NS), DP_LEASE_OTHERS);
		assert_int_equal(dp_lease_judge(&lease, &row, NOW_US, BOOT_NS + TTL_NS),
			DP_LEASE_OTHERS);
		assert_int_equal(dp_lease_judge(&lease, &row, NOW_US, BOOT_NS + TTL_NS + 1),
			DP_LEASE_FREE);
		/* It was taken by then, and has to be seen anew. */
		assert_int_equal(dp_lease_judge(&lease, &row, NOW_US, BOOT_NS + TTL_NS + 2),
			DP_LEASE_OTHERS);
	}
}

static void test_whatever_changes_is_alive(void **state)
{
	(void)state;
	struct dp_lease lease = ours();
	struct dp_lease_row row = row_of(7, NOW_US + TTL_US, 100);
	int64_t boot_ns = BOOT_NS;
	for (int i = 0; i < 30; i++) {
		assert_int_equal(
			dp_lease_judge(&lease, &row, NOW_US, boot_ns), DP_LEASE_OTHERS);
		boot_ns += TTL_NS + 1;
		if (i % 3 == 0)
			row.number++;
		else if (i % 3 == 1)
			row.expires++;
		else
			row.byte++;
	}
}

static void test_what_the_holder_writes(void **state)
{
	(void)state;
	struct dp_lease lease = ours();
	struct dp_lease_row row = row_of(7, DP_LEASE_LOCKED, DP_BYTE_FREE);
	row.ours = true;
	assert_true(dp_lease_expires(&lease, &row, NOW_US) == DP_LEASE_LOCKED);
	lease.lock_err = -ENOLCK;
	assert_true(dp_lease_expires(&lease, &row, NOW_US) == NOW_US + TTL_US);
	/* In the same instant: another time nevertheless. */
	row.expires = NOW_US + TTL_US;
	assert_true(dp_lease_expires(&lease, &row, NOW_US) == NOW_US + TTL_US + 1);
	/* A clock that was set back. */
	row.expires = NOW_US + 3 * TTL_US;
	assert_true(dp_lease_expires(&lease, &row, NOW_US) == NOW_US + TTL_US);
	row.there = false;
	assert_true(dp_lease_expires(&lease, &row, NOW_US) == NOW_US + TTL_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_row_that_is_seen_for_the_first_time),
		cmocka_unit_test(test_it_is_ours_by_name_and_number),
		cmocka_unit_test(test_what_stands_still_for_a_ttl_is_over),
		cmocka_unit_test(test_whatever_changes_is_alive),
		cmocka_unit_test(test_what_the_holder_writes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
