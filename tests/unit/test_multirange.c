#include "ingest/postgres/multirange.h"

#include <errno.h>

#include "support.h"

static void assert_same(const char *text)
{
	struct dp_intervals set = {.n = 0};
	assert_int_equal(multirange_read(text, &set), 0);
	char *again = multirange_write(&set);
	assert_string_equal(again, text);
	free(again);
	dp_intervals_finish(&set);
}

static void test_reads_what_it_writes(void **state)
{
	(void)state;
	assert_same("{}");
	assert_same("{[1,2)}");
	assert_same("{[1,101),[200,301),[9007199254740992,9007199254740993)}");
}

static void test_bounds_are_numbers_of_the_set(void **state)
{
	(void)state;
	struct dp_intervals set = {.n = 0};
	assert_int_equal(multirange_read("{[3,6),[8,9)}", &set), 0);
	assert_int_equal(set.n, 2);
	assert_int_equal(set.at[0].first, 3);
	assert_int_equal(set.at[0].last, 5);
	assert_int_equal(set.at[1].first, 8);
	assert_int_equal(set.at[1].last, 8);
	dp_intervals_finish(&set);
}

static void test_replaces_what_was_in_the_set(void **state)
{
	(void)state;
	struct dp_intervals set = {.n = 0};
	assert_int_equal(dp_intervals_add(&set, 1, 1000), 0);
	assert_int_equal(multirange_read("{}", &set), 0);
	assert_int_equal(set.n, 0);
	dp_intervals_finish(&set);
}

static void test_refuses_anything_else(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "{", "}", "{[1,2)", "{[1,2)}x", "{[1,2),}",
		"{[2,2)}", "{[3,2)}", "{(1,2)}", "{[1,2]}", "{[,2)}", "{[1,)}", "{[-1,2)}",
		"{[0,2)}", "{[1,2)[3,4)}", "{[1 ,2)}", "{[1,99999999999999999999)}"};
	struct dp_intervals set = {.n = 0};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (multirange_read(bad[i], &set) != -EBADMSG)
			fail_msg("%s was read", bad[i]);
	}
	dp_intervals_finish(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_it_writes),
		cmocka_unit_test(test_bounds_are_numbers_of_the_set),
		cmocka_unit_test(test_replaces_what_was_in_the_set),
		cmocka_unit_test(test_refuses_anything_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
