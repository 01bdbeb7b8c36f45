#include "retention-pruner/order.h"
#include "retention-pruner/stride.h"
#include "support.h"

static void test_orders(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int err;
		bool dry_run, confirm;
	} cases[] = {{"", 0, false, false}, {"{}", 0, false, false},
		{"{\"dry_run\":true}", 0, true, false},
		{"{\"confirm\":true,\"dry_run\":false}", 0, false, true},
		{"{\"who\":\"me\",\"confirm\":true}", 0, false, true},
		{"{\"confirm\":1}", -EBADMSG, 0, 0},
		{"{\"dry_run\":\"yes\"}", -EBADMSG, 0, 0},
		{"{\"confirm\":true,\"confirm\":false}", -EBADMSG, 0, 0},
		{"true", -EBADMSG, 0, 0}, {"[]", -EBADMSG, 0, 0}, {"{", -EBADMSG, 0, 0},
		{"confirm", -EBADMSG, 0, 0}, {"{\"confirm\":null}", -EBADMSG, 0, 0}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct order order = {.dry_run = false};
		const char *why;
		assert_int_equal(
			order_parse(cases[i].text, strlen(cases[i].text), &order, &why),
			cases[i].err);
		assert_int_equal(order.dry_run, cases[i].dry_run);
		assert_int_equal(order.confirm, cases[i].confirm);
	}
	char long_one[1998];
	struct order order;
	const char *why;
	memset(long_one, ' ', sizeof(long_one));
	memcpy(long_one, "{}", 2);
	assert_int_equal(order_parse(long_one, sizeof(long_one), &order, &why), -EBADMSG);
}

static void test_answers_go_to_topics_that_are_not_ours(void **state)
{
	(void)state;
	assert_true(order_may_answer("answers/me"));
	assert_false(order_may_answer(NULL));
	assert_false(order_may_answer(""));
	assert_false(order_may_answer("a/#"));
	assert_false(order_may_answer("+/a"));
	assert_false(order_may_answer("retention/run"));
	assert_false(order_may_answer("retention/report"));
}

static void test_the_report_is_json(void **state)
{
	(void)state;
	const struct prune_report report = {.outcome = PRUNE_ASKS,
		.reason = "why not",
		.readings = INT64_MAX,
		.rollups = INT64_MAX,
		.counted = INT64_MAX,
		.rows_before = INT64_MAX,
		.rows_after = INT64_MAX,
		.bytes_before = INT64_MAX,
		.bytes_after = INT64_MAX,
		.oldest_us = 1732312345123456};
	const struct order_times times = {
		1732312345999999, INT64_MAX, INT64_MAX, INT64_MAX};
	char text[ORDER_REPORT_MAX];
	size_t len = order_report(&report, &times, text);
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(text, "{\"time\":1732312345,\"outcome\":\"asks\",\"reason\":"
				     "\"why not\",\"readings\":9223372036854775807,"));
	assert_non_null(strstr(text, "\"oldest\":1732312345,"));
	assert_null(strstr(text, "about"));
	struct prune_report large = report;
	large.about = true;
	len = order_report(&large, &times, text);
	assert_string_equal(text + len - strlen(",\"about\":true}"), ",\"about\":true}");
}

static void test_a_step_does_less_when_it_was_slow(void **state)
{
	(void)state;
	struct stride stride = {.amount = 1000, .least = 50, .most = 2000, .us = STRIDE_US};
	stride_took(&stride, (int64_t)2 * STRIDE_US);
	assert_int_equal(stride.amount, 500);
	stride_took(&stride, (int64_t)100 * STRIDE_US); /* one mishap does not decide */
	assert_int_equal(stride.amount, 125);
	stride_took(&stride, (int64_t)100 * STRIDE_US);
	stride_took(&stride, (int64_t)100 * STRIDE_US);
	assert_int_equal(stride.amount, 50);
	for (int i = 0; i < 100; i++)
		stride_took(&stride, 0);
	assert_int_equal(stride.amount, 2000);
	stride_took(&stride, STRIDE_US);
	assert_int_equal(stride.amount, 2000);
}

static void test_what_was_too_much_is_not_tried_again_soon(void **state)
{
	(void)state;
	const struct stride initial = {
		.amount = 3600, .least = 60, .most = 86400, .us = STRIDE_US};
	struct stride stride = {.ceiling = 0};
	stride_begin(&stride, &initial);
	assert_int_equal(stride.amount, 3600);
	for (int64_t amount = 1800; amount > 20; amount /= 2) {
		stride_gave_up(&stride);
		assert_int_equal(stride.amount, amount);
	}
	/* Neither a new run nor a quick step forgets it; nor does a slow one do less. */
	stride_begin(&stride, &initial);
	assert_int_equal(stride.amount, 28);
	stride_took(&stride, 0);
	assert_int_equal(stride.amount, 28);
	stride_took(&stride, (int64_t)100 * STRIDE_US);
	assert_int_equal(stride.amount, 28);
	stride_raise(&stride);
	assert_int_equal(stride.amount, 32);
	for (int i = 0; i < 100; i++) {
		stride_took(&stride, 0);
		stride_raise(&stride);
	}
	assert_int_equal(stride.amount, 86400);
	for (int i = 0; i < 40; i++)
		stride_gave_up(&stride);
	assert_int_equal(stride.amount, 1);
	struct stride none = {.amount = 0};
	stride_gave_up(&none);
	stride_raise(&none);
	assert_int_equal(none.amount + none.ceiling, 0);
}

static void test_the_pause_grows_with_the_step(void **state)
{
	(void)state;
	assert_int_equal(stride_pause_ms(0, 0), 0);
	assert_int_equal(stride_pause_ms(1000, 20), 20);
	assert_int_equal(stride_pause_ms(10000, 20), 40);
	assert_int_equal(stride_pause_ms(INT64_C(60000000), 20), 2000);
	assert_int_equal(stride_pause_ms(INT64_C(60000000), 5000), 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_answers_go_to_topics_that_are_not_ours),
		cmocka_unit_test(test_the_report_is_json),
		cmocka_unit_test(test_a_step_does_less_when_it_was_slow),
		cmocka_unit_test(test_what_was_too_much_is_not_tried_again_soon),
		cmocka_unit_test(test_the_pause_grows_with_the_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
