#include "retention-pruner/policies.h"
#include "support.h"

#define DAY_US (INT64_C(86400) * 1000000)

static int64_t raw_days(
	const struct policies *policies, const char *topic, const char *sensor)
{
	return policies_of(policies, topic, sensor)->raw_us / DAY_US;
}

static void test_the_closest_override_wins(void **state)
{
	(void)state;
	char *const environment[] = {"PATH=/bin", "RETENTION=raw:1d",
		"RETENTION_ORANGEPI0=raw:2d", "RETENTION_ORANGEPI0_CLIMATE=raw:3d",
		"RETENTION_A_B=raw:4d", "RETENTION_FILE=/run/secret",
		"RETENTION_EMPTY=", "RETENTION_=x", NULL};
	struct policies policies;
	assert_int_equal(policies_load(&policies, "raw:30d,1m:1y", environment), 0);
	assert_int_equal(policies.n, 3);
	assert_int_equal(raw_days(&policies, "/data/other", "climate"), 30);
	assert_int_equal(raw_days(&policies, "/data/orangepi0", "door"), 2);
	assert_int_equal(raw_days(&policies, "/data/orangepi0", ""), 2);
	assert_int_equal(raw_days(&policies, "/data/orangepi0", "climate"), 3);
	assert_int_equal(raw_days(&policies, "/site/7/a.b", "x"), 4);
	assert_int_equal(raw_days(&policies, "a-b", ""), 4);
	assert_int_equal(raw_days(&policies, "/data/empty", ""), 30);
	assert_int_equal(policies_of(&policies, "/data/orangepi0", "door")->n, 1);
	policies_finish(&policies);
}

static void test_a_bad_one_is_named_and_all_are_looked_at(void **state)
{
	(void)state;
	char *const environment[] = {
		"RETENTION_A=raw:0d", "RETENTION_B=raw:2d", "RETENTION_C=1h:2y", NULL};
	struct policies policies;
	struct capture capture;
	char log[2048];
	capture_begin(&capture, STDERR_FILENO);
	int err = policies_load(&policies, "raw:30d,1m:1y", environment);
	capture_end(&capture, log, sizeof(log));
	policies_finish(&policies);
	assert_int_equal(err, -EINVAL);
	assert_non_null(strstr(log, "name=RETENTION_A value=\"raw:0d\""));
	assert_null(strstr(log, "RETENTION_B"));
	assert_non_null(strstr(log, "name=RETENTION_C value=\"1h:2y\""));
}

static void test_a_bad_default_is_refused(void **state)
{
	(void)state;
	char *const environment[] = {NULL};
	struct policies policies;
	struct capture capture;
	char log[1024];
	capture_begin(&capture, STDERR_FILENO);
	int err = policies_load(&policies, "raw:soon", environment);
	capture_end(&capture, log, sizeof(log));
	policies_finish(&policies);
	assert_int_equal(err, -EINVAL);
	assert_non_null(strstr(log, "name=RETENTION value=\"raw:soon\""));
}

static void test_an_override_of_two_meanings_shortens_nothing(void **state)
{
	(void)state;
	char *const environment[] = {"RETENTION_KITCHEN_WINDOW=raw:1d",
		"RETENTION_KITCHEN=raw:60d", "RETENTION_ATTIC=raw:2d", NULL};
	struct policies policies;
	struct capture capture;
	char log[2048];
	assert_int_equal(policies_load(&policies, "raw:30d", environment), 0);
	capture_begin(&capture, STDERR_FILENO);
	policies_note(&policies, "/data/kitchen-window", "climate");
	policies_note(&policies, "/data/kitchen-window", "climate");
	policies_note(&policies, "/data/attic", "climate");
	bool before = policies.ambiguous;
	int64_t days = raw_days(&policies, "/data/kitchen-window", "climate");
	policies_note(&policies, "/data/kitchen", "window");
	policies_note(&policies, "/data/kitchen_window", "");
	capture_end(&capture, log, sizeof(log));
	assert_false(before);
	assert_int_equal(days, 1);
	assert_true(policies.ambiguous);
	assert_int_equal(raw_days(&policies, "/data/kitchen-window", "climate"), 60);
	assert_int_equal(raw_days(&policies, "/data/kitchen", "window"), 60);
	assert_int_equal(raw_days(&policies, "/data/attic", "climate"), 2);
	const char *said = strstr(log, "name=RETENTION_KITCHEN_WINDOW node=kitchen-window");
	assert_non_null(said);
	assert_null(strstr(said + 1, "name=RETENTION_KITCHEN_WINDOW"));
	policies_finish(&policies);
}

/* A person who takes an example away from its # loses nothing that is kept without. */
static void test_the_examples_keep_rollups(void **state)
{
	(void)state;
	static const char *const files[] = {"ci/native/env/retention-pruner.env",
		"compose/.env.example", "services/retention-pruner/README.md"};
	for (size_t i = 0; i < LENGTH(files); i++) {
		char line[512];
		int found = 0;
		FILE *file = fopen(files[i], "r");
		if (file == NULL) {
			fail_msg("cannot open %s", files[i]);
			return;
		}
		while (fgets(line, sizeof(line), file) != NULL) {
			const char *value = strstr(line, "RETENTION=");
			struct policy policy;
			const char *why;
			if (value == NULL)
				continue;
			value += strlen("RETENTION=");
			char text[128];
			snprintf(text, sizeof(text), "%.*s", (int)strcspn(value, " `\n"),
				value);
			assert_int_equal(policy_parse(text, NULL, &policy, &why), 0);
			assert_true(policy.n > 0);
			found++;
		}
		fclose(file);
		assert_true(found > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_closest_override_wins),
		cmocka_unit_test(test_a_bad_one_is_named_and_all_are_looked_at),
		cmocka_unit_test(test_a_bad_default_is_refused),
		cmocka_unit_test(test_an_override_of_two_meanings_shortens_nothing),
		cmocka_unit_test(test_the_examples_keep_rollups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
