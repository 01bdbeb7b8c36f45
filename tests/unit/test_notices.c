/* The first refusal is a line, the others a count, and nobody's are lost. */
#include "support.h"

#include "mosquitto-refusals/notices.h"

#define PERIOD 3600000

static int make_notices(void **state)
{
	struct notices *notices = calloc(1, sizeof(*notices));
	if (notices == NULL)
		return -1;
	notices->period_ms = PERIOD;
	*state = notices;
	return 0;
}

static int free_notices(void **state)
{
	free(*state);
	return 0;
}

static void test_the_first_is_said_at_once(void **state)
{
	struct notices *n = *state;
	assert_true(notices_add(n, ACTION_PUBLISH, "pi", "a", 5));
	assert_false(notices_add(n, ACTION_PUBLISH, "pi", "b", 5));
	assert_true(notices_add(n, ACTION_SUBSCRIBE, "pi", "c", 6));
	assert_true(notices_add(n, ACTION_PUBLISH, "other", "d", 7));
	assert_false(notices_add(n, ACTION_PUBLISH, "pi", "e", 4 + PERIOD));
}

static void test_the_others_are_counted_once_in_a_period(void **state)
{
	struct notices *n = *state;
	uint64_t count = 0;
	notices_add(n, ACTION_PUBLISH, "pi", "a", 5);
	assert_null(notices_due(n, INT64_MAX, &count));
	for (int i = 0; i < 3; i++)
		notices_add(n, ACTION_PUBLISH, "pi", i == 2 ? "last" : "a", 6);
	assert_null(notices_due(n, 4 + PERIOD, &count));
	const struct notice *due = notices_due(n, 5 + PERIOD, &count);
	assert_non_null(due);
	assert_int_equal(count, 3);
	assert_string_equal(due->fields, "last");
	assert_false(notices_shared(n, due));
	assert_null(notices_due(n, 5 + PERIOD, &count));
	/* From here the next period counts. */
	assert_false(notices_add(n, ACTION_PUBLISH, "pi", "a", 4 + 2 * PERIOD));
	assert_null(notices_due(n, 4 + 2 * PERIOD, &count));
	assert_non_null(notices_due(n, 5 + 2 * PERIOD, &count));
	assert_int_equal(count, 1);
}

static void test_after_a_quiet_period_it_is_said_at_once(void **state)
{
	struct notices *n = *state;
	notices_add(n, ACTION_PUBLISH, "pi", "a", 5);
	assert_true(notices_add(n, ACTION_PUBLISH, "pi", "a", 5 + PERIOD));
}

static void fill(struct notices *n, int64_t now_ms)
{
	for (int i = 0; i < NOTICES_MAX; i++) {
		char who[16];
		snprintf(who, sizeof(who), "user%d", i);
		assert_true(notices_add(n, ACTION_PUBLISH, who, "x", now_ms));
	}
}

static void test_too_many_share_one(void **state)
{
	struct notices *n = *state;
	uint64_t count = 0;
	fill(n, 5);
	assert_true(notices_add(n, ACTION_PUBLISH, "one more", "a", 6));
	assert_false(notices_add(n, ACTION_PUBLISH, "yet another", "b", 7));
	assert_true(notices_add(n, ACTION_SUBSCRIBE, "one more", "c", 8));
	/* Those who have a place keep it. */
	assert_false(notices_add(n, ACTION_PUBLISH, "user0", "d", 9));
	int shared = 0, own = 0;
	const struct notice *due;
	while ((due = notices_due(n, INT64_MAX, &count)) != NULL) {
		assert_int_equal(count, 1);
		if (notices_shared(n, due))
			shared++;
		else
			own++;
	}
	assert_int_equal(shared, 1);
	assert_int_equal(own, 1);
}

static void test_a_quiet_place_is_used_again_and_another_is_not(void **state)
{
	struct notices *n = *state;
	uint64_t count = 0;
	fill(n, 5);
	for (int i = 1; i < NOTICES_MAX; i++) {
		char who[16];
		snprintf(who, sizeof(who), "user%d", i);
		assert_false(notices_add(n, ACTION_PUBLISH, who, "x", 6));
	}
	/* Only user0 has nothing unsaid: its place, and then none. */
	assert_true(notices_add(n, ACTION_LOGIN, "new", "a", 5 + PERIOD));
	assert_true(notices_add(n, ACTION_LOGIN, "newer", "b", 5 + PERIOD));
	assert_false(notices_add(n, ACTION_LOGIN, "newest", "c", 5 + PERIOD));
	assert_false(notices_add(n, ACTION_LOGIN, "new", "d", 5 + PERIOD));
	uint64_t all = 0;
	while (notices_due(n, INT64_MAX, &count) != NULL)
		all += count;
	assert_int_equal(all, NOTICES_MAX - 1 + 2);
}

static void test_long_names_and_fields_are_cut(void **state)
{
	struct notices *n = *state;
	char longer[NOTICE_FIELDS_SIZE + 100];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_true(notices_add(n, ACTION_LOGIN, longer, longer, 5));
	assert_false(notices_add(n, ACTION_LOGIN, longer, longer, 6));
	uint64_t count = 0;
	const struct notice *due = notices_due(n, INT64_MAX, &count);
	assert_non_null(due);
	assert_int_equal(strlen(due->who), NOTICE_WHO_SIZE - 1);
	assert_int_equal(strlen(due->fields), NOTICE_FIELDS_SIZE - 1);
}

/* Lines and counts together are all that was refused, and there are few lines. */
static void test_random_refusals(void **state)
{
	struct notices *n = *state;
	uint64_t seed = 11, said = 0, count = 0, lines = 0;
	int64_t now_ms = 1;
	for (int i = 0; i < 100000; i++) {
		char who[16];
		snprintf(who, sizeof(who), "u%d", (int)random_below(&seed, 300));
		enum action action = (enum action)random_below(&seed, ACTIONS);
		if (notices_add(n, action, who, "x", now_ms))
			said++, lines++;
		now_ms += (int64_t)random_below(&seed, PERIOD / 5000);
		while (notices_due(n, now_ms, &count) != NULL)
			said += count, lines++;
	}
	while (notices_due(n, INT64_MAX, &count) != NULL)
		said += count, lines++;
	assert_int_equal(said, 100000);
	uint64_t periods = (uint64_t)now_ms / PERIOD + 2;
	assert_in_range(lines, 1, (NOTICES_MAX + ACTIONS) * periods);
}

#define WITH_NOTICES(test) cmocka_unit_test_setup_teardown(test, make_notices, free_notices)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_NOTICES(test_the_first_is_said_at_once),
		WITH_NOTICES(test_the_others_are_counted_once_in_a_period),
		WITH_NOTICES(test_after_a_quiet_period_it_is_said_at_once),
		WITH_NOTICES(test_too_many_share_one),
		WITH_NOTICES(test_a_quiet_place_is_used_again_and_another_is_not),
		WITH_NOTICES(test_long_names_and_fields_are_cut),
		WITH_NOTICES(test_random_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
