#include "retention-pruner/policy.h"
#include "support.h"

#define DAY_US (INT64_C(86400) * 1000000)

static void test_the_age_of_raw_readings_is_taken(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {{"raw:30d", 30 * DAY_US}, {"raw:1s", 1000000}, {"raw:1000ms", 1000000},
		{"raw:15m", INT64_C(900) * 1000000}, {"raw:1h", INT64_C(3600) * 1000000},
		{"raw:2w", 14 * DAY_US}, {"raw:100y", 36500 * DAY_US},
		{"raw:36500d", 36500 * DAY_US}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct policy policy = {0};
		const char *why;
		assert_int_equal(policy_parse(cases[i].text, &policy, &why), 0);
		assert_true(policy.raw_us == cases[i].us);
	}
}

static void test_anything_else_is_refused_with_what_is_allowed(void **state)
{
	(void)state;
	static const char form[] = "raw:<age>, e.g. raw:30d";
	static const char range[] = "an age from 1s to 100y";
	static const struct {
		const char *text, *why;
	} cases[] = {{"", form}, {"30d", form}, {"raw", form}, {"raw:", form},
		{"raw:30", form}, {"raw: 30d", form}, {"raw:30d ", form}, {"raw:-1d", form},
		{"raw:0d", form}, {"RAW:30d", form}, {"raw:30d,1h:2y", form},
		{"raw:99999999999999999999d", form}, {"raw:999ms", range},
		{"raw:101y", range}, {"raw:36501d", range}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct policy policy = {.raw_us = 99};
		const char *why = NULL;
		assert_int_equal(policy_parse(cases[i].text, &policy, &why), -EINVAL);
		assert_string_equal(why, cases[i].why);
		assert_int_equal(policy.raw_us, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_age_of_raw_readings_is_taken),
		cmocka_unit_test(test_anything_else_is_refused_with_what_is_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
