#include "backoff.h"
#include "in_flight.h"
#include "refusals.h"
#include "subscriptions.h"
#include "support.h"

#define REFUSED 0x87
#define HOUR_MS 3600000

static struct dp_subscriptions set;

/* Ask for a filter; its SUBSCRIBE has this number. */
static void ask(const char *filter, int mid, int64_t now_ms)
{
	dp_subscriptions_ask(&set, filter, now_ms)->mid = mid;
}

static enum dp_subscription_news answered(int mid, int answer, int64_t now_ms)
{
	const struct dp_subscription *entry = NULL;
	return dp_subscriptions_answered(&set, mid, answer, now_ms, &entry);
}

static int finish(void **state)
{
	(void)state;
	dp_subscriptions_finish(&set);
	return 0;
}

static void test_something_lacks_until_all_is_granted(void **state)
{
	(void)state;
	assert_null(dp_subscriptions_lacking(&set));
	ask("a", 1, 0);
	ask("b", 2, 0);
	assert_string_equal(dp_subscriptions_lacking(&set)->filter, "a");
	assert_int_equal(answered(1, 1, 0), DP_SUBSCRIPTION_GRANTED);
	assert_string_equal(dp_subscriptions_lacking(&set)->filter, "b");
	assert_int_equal(answered(2, 2, 0), DP_SUBSCRIPTION_GRANTED);
	assert_null(dp_subscriptions_lacking(&set));
}

static void test_the_worst_is_named(void **state)
{
	(void)state;
	ask("open", 1, 0);
	ask("weak", 2, 0);
	ask("refused", 3, 0);
	assert_int_equal(answered(2, 0, 0), DP_SUBSCRIPTION_WEAKER);
	assert_string_equal(dp_subscriptions_lacking(&set)->filter, "weak");
	assert_int_equal(answered(3, REFUSED, 0), DP_SUBSCRIPTION_REFUSED);
	assert_string_equal(dp_subscriptions_lacking(&set)->filter, "refused");
	assert_int_equal(dp_subscriptions_lacking(&set)->answer, REFUSED);
}

static void test_an_answer_to_nothing_is_ignored(void **state)
{
	(void)state;
	ask("a", 1, 0);
	assert_int_equal(answered(7, REFUSED, 0), DP_SUBSCRIPTION_SAME);
	assert_int_equal(answered(0, REFUSED, 0), DP_SUBSCRIPTION_SAME);
	assert_int_equal(dp_subscriptions_lacking(&set)->answer, -1);
}

static void test_a_refusal_is_news_once_even_over_connections(void **state)
{
	(void)state;
	ask("a", 1, 0);
	assert_int_equal(answered(1, REFUSED, 0), DP_SUBSCRIPTION_REFUSED);
	dp_subscriptions_begin(&set);
	assert_null(dp_subscriptions_lacking(&set));
	ask("a", 1, 1000);
	assert_string_equal(dp_subscriptions_lacking(&set)->filter, "a");
	assert_int_equal(answered(1, REFUSED, 1000), DP_SUBSCRIPTION_SAME);
	ask("a", 2, 2000);
	assert_int_equal(answered(2, 1, 2000), DP_SUBSCRIPTION_GRANTED);
	ask("a", 3, 3000);
	assert_int_equal(answered(3, REFUSED, 3000), DP_SUBSCRIPTION_REFUSED);
}

static void test_what_is_not_granted_is_asked_for_more_and_more_seldom(void **state)
{
	(void)state;
	int64_t now_ms = 0, before_ms = 0, gap_ms = 0;
	ask("a", 1, 0);
	ask("b", 2, 0);
	answered(1, 1, 0);
	for (int i = 0; i < 8; i++) {
		struct dp_subscription *due = NULL;
		while ((due = dp_subscriptions_due(&set, now_ms)) == NULL)
			now_ms += 1000;
		assert_string_equal(due->filter, "b");
		assert_true(now_ms - before_ms >= DP_SUBSCRIBE_FIRST_MS);
		assert_true(now_ms - before_ms >= gap_ms);
		gap_ms = now_ms - before_ms;
		before_ms = now_ms;
		due->mid = 10 + i;
		/* Every second one is not answered at all. */
		if (i % 2 == 0)
			answered(10 + i, REFUSED, now_ms);
	}
	assert_int_equal(gap_ms, DP_SUBSCRIBE_LIMIT_MS);
}

static void test_a_server_that_hangs_up_is_met_more_and_more_seldom(void **state)
{
	(void)state;
	uint64_t random = 1;
	struct dp_backoff backoff;
	static const int64_t nominal[] = {250, 500, 1000, 2000, 4000, 8000, 10000, 10000};
	dp_backoff_init(&backoff);
	for (size_t i = 0; i < LENGTH(nominal); i++) {
		int64_t wait_ms = dp_backoff_wait(&backoff, i % 2 == 0 ? 0 : 100, &random);
		assert_in_range(wait_ms, nominal[i] * 3 / 4, nominal[i] * 5 / 4);
	}
	/* Up, but not for as long as was waited for it. */
	assert_true(dp_backoff_wait(&backoff, DP_BACKOFF_PROVEN_MS, &random) > 7000);
	assert_true(dp_backoff_wait(&backoff, DP_BACKOFF_LIMIT_MS, &random) < 400);
}

static void test_a_raised_wait_counts_once(void **state)
{
	(void)state;
	uint64_t random = 1;
	struct dp_backoff backoff;
	dp_backoff_init(&backoff);
	dp_backoff_raise(&backoff, 600000);
	assert_true(dp_backoff_wait(&backoff, HOUR_MS, &random) >= 450000);
	assert_true(dp_backoff_wait(&backoff, 0, &random) <= DP_BACKOFF_LIMIT_MS * 5 / 4);
}

static void test_a_publish_on_its_way_is_known_by_its_number(void **state)
{
	(void)state;
	struct dp_in_flight flight = {.slots = NULL};
	assert_null(dp_in_flight_answered(&flight, 1));
	for (int mid = 1; mid <= DP_IN_FLIGHT_SLOTS + 1; mid++)
		dp_in_flight_sent(&flight, mid, mid == 2 ? "two" : "other");
	/* The oldest had to go. */
	assert_null(dp_in_flight_answered(&flight, 1));
	char *topic = dp_in_flight_answered(&flight, 2);
	assert_string_equal(topic, "two");
	free(topic);
	assert_null(dp_in_flight_answered(&flight, 2));
	dp_in_flight_clear(&flight);
	assert_null(dp_in_flight_answered(&flight, 3));
}

static void test_refused_publishes_are_said_once_for_each_kind_of_topic(void **state)
{
	(void)state;
	struct dp_refusals refusals = {.n = 0};
	assert_int_equal(dp_refusals_note(&refusals, "/data/a/batch", 5), 1);
	assert_int_equal(dp_refusals_note(&refusals, "data/b/batch", 6), 0);
	assert_int_equal(dp_refusals_note(&refusals, "state/a/valve", 6), 1);
	assert_int_equal(dp_refusals_note(&refusals, "/data/c", 7 + HOUR_MS), 2);
	/* However many kinds there are: a few, and the rest. */
	uint64_t said = 0;
	for (int i = 0; i < 1000; i++) {
		char topic[64];
		snprintf(topic, sizeof(topic), "kind-%d-with-a-long-name/x", i);
		said += dp_refusals_note(&refusals, topic, 8) > 0;
	}
	assert_in_range(said, 1, LENGTH(refusals.classes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			test_something_lacks_until_all_is_granted, finish),
		cmocka_unit_test_teardown(test_the_worst_is_named, finish),
		cmocka_unit_test_teardown(test_an_answer_to_nothing_is_ignored, finish),
		cmocka_unit_test_teardown(
			test_a_refusal_is_news_once_even_over_connections, finish),
		cmocka_unit_test_teardown(
			test_what_is_not_granted_is_asked_for_more_and_more_seldom, finish),
		cmocka_unit_test(test_a_server_that_hangs_up_is_met_more_and_more_seldom),
		cmocka_unit_test(test_a_raised_wait_counts_once),
		cmocka_unit_test(test_a_publish_on_its_way_is_known_by_its_number),
		cmocka_unit_test(
			test_refused_publishes_are_said_once_for_each_kind_of_topic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
