#include "retention-pruner/policy.h"
#include "support.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)
#define YEAR_US (365 * DAY_US)

static void test_the_age_of_raw_readings_is_taken(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {{"raw:30d", 30 * DAY_US}, {"raw:1s", SECOND_US},
		{"raw:1000ms", SECOND_US}, {"raw:15m", 900 * SECOND_US},
		{"raw:1h", 3600 * SECOND_US}, {"raw:2w", 14 * DAY_US},
		{"raw:100y", 100 * YEAR_US}, {"raw:36500d", 100 * YEAR_US}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct policy policy = {.n = 9};
		const char *why;
		assert_int_equal(policy_parse(cases[i].text, NULL, &policy, &why), 0);
		assert_true(policy.raw_us == cases[i].us);
		assert_int_equal(policy.n, 0);
	}
}

static void test_rollups_stand_in_the_order_of_their_sizes(void **state)
{
	(void)state;
	static const char *const texts[] = {"raw:30d,1m:1y,1h:10y", "1h:10y,raw:30d,1m:1y",
		"60s:365d,3600000ms:3650d,raw:4w,raw:30d"};
	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct policy policy;
		const char *why;
		int err = policy_parse(texts[i], NULL, &policy, &why);
		assert_int_equal(err, i == 2 ? -EINVAL : 0);
		if (err != 0)
			continue;
		assert_true(policy.raw_us == 30 * DAY_US);
		assert_int_equal(policy.n, 2);
		assert_true(policy.sizes[0].size_us == 60 * SECOND_US);
		assert_true(policy.sizes[0].age_us == YEAR_US);
		assert_true(policy.sizes[1].size_us == 3600 * SECOND_US);
		assert_true(policy.sizes[1].age_us == 10 * YEAR_US);
	}
}

static void test_a_finer_one_may_be_kept_longer(void **state)
{
	(void)state;
	struct policy policy;
	const char *why;
	assert_int_equal(
		policy_parse("raw:10y,1m:1y,1h:30d,1d:1d", NULL, &policy, &why), 0);
	assert_int_equal(policy.n, 3);
}

static void test_anything_else_is_refused_with_what_is_allowed(void **state)
{
	(void)state;
	static const char form[] = "raw:<age>, then <size>:<age>, comma-separated, e.g. "
				   "raw:30d,1m:1y,1h:10y";
	static const char range[] = "an age from 1s to 100y";
	static const char size[] = "a size from 1s to 7d";
	static const struct {
		const char *text, *why;
	} cases[] = {{"", form}, {"30d", form}, {"raw", form}, {"raw:", form},
		{"raw:30", form}, {"raw: 30d", form}, {"raw:30d ", form}, {"raw:-1d", form},
		{"RAW:30d", form}, {"raw:3x", form}, {"raw:30d,", form}, {",raw:30d", form},
		{"raw:30d,,1m:1y", form}, {"raw:30d,1m", form}, {"raw:30d,1m:", form},
		{"raw:30d,m:1y", form}, {"raw:30d,1x:1y", form}, {"raw:30d,1m:1z", form},
		{"1m:1y", form}, {"raw:30d;1m:1y", form}, {"raw:1.5d", form},
		{"raw:00000000000000000000000000000000000001d", form}, {"raw:0d", range},
		{"raw:30d,1m:0s", range}, {"raw:30d,1m:-1y", form},
		{"raw:99999999999999999999d", range}, {"raw:9223372036854775807y", range},
		{"raw:999ms", range}, {"raw:101y", range}, {"raw:36501d", range},
		{"raw:30d,1m:101y", range}, {"raw:30d,0m:1y", size},
		{"raw:30d,999ms:1y", size}, {"raw:30d,8d:1y", size},
		{"raw:30d,99999999999999999999m:1y", size},
		{"raw:30d,1500ms:1y", "sizes of whole seconds"},
		{"raw:30d,1h:59m", "rollups kept for at least their size"},
		{"raw:30d,raw:31d", "each age once"},
		{"raw:30d,1m:1y,60s:2y", "each age once"},
		{"raw:30d,1s:1y,2s:1y,4s:1y,8s:1y,16s:1y", "at most 4 sizes"},
		{"raw:30d,1m:1y,90s:1y",
			"sizes of which each is a multiple of the next finer one"}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct policy policy = {.raw_us = 99};
		const char *why = NULL;
		assert_int_equal(policy_parse(cases[i].text, NULL, &policy, &why), -EINVAL);
		assert_string_equal(why, cases[i].why);
		assert_int_equal(policy.raw_us, 99);
	}
}

static void test_an_override_says_only_what_is_different(void **state)
{
	(void)state;
	struct policy base, policy;
	const char *why;
	assert_int_equal(policy_parse("raw:30d,1m:1y,1h:10y", NULL, &base, &why), 0);
	assert_int_equal(policy_parse("1m:2y", &base, &policy, &why), 0);
	assert_true(policy.raw_us == 30 * DAY_US);
	assert_int_equal(policy.n, 2);
	assert_true(policy.sizes[0].age_us == 2 * YEAR_US);
	assert_true(policy.sizes[1].age_us == 10 * YEAR_US);
	assert_int_equal(policy_parse("raw:1d", &base, &policy, &why), 0);
	assert_true(policy.raw_us == DAY_US);
	assert_true(policy.sizes[0].age_us == YEAR_US);
	assert_int_equal(policy_parse("5m:2y", &base, &policy, &why), -EINVAL);
	assert_string_equal(why, "only sizes that RETENTION has");
	assert_int_equal(policy_parse("1m:2y,1m:3y", &base, &policy, &why), -EINVAL);
	assert_string_equal(why, "each age once");
	assert_int_equal(policy_parse("raw:0s", &base, &policy, &why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_age_of_raw_readings_is_taken),
		cmocka_unit_test(test_rollups_stand_in_the_order_of_their_sizes),
		cmocka_unit_test(test_a_finer_one_may_be_kept_longer),
		cmocka_unit_test(test_anything_else_is_refused_with_what_is_allowed),
		cmocka_unit_test(test_an_override_says_only_what_is_different),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
