#include "sampler/output.h"
#include "support.h"

static struct output_list list; /* too large for the stack */

/* @return "" or why it is refused */
static const char *parse(const char *text)
{
	static char why[256];
	why[0] = '\0';
	int err = output_list_parse(&list, text, why, sizeof(why));
	assert_int_equal(err, why[0] != '\0' ? -EINVAL : 0);
	return why;
}

static void assert_refused(const char *text, const char *expected)
{
	assert_string_equal(parse(text), expected);
	output_list_finish(&list);
}

static void test_what_an_output_has_unless_told(void **state)
{
	(void)state;
	assert_string_equal(parse("fan=gpio@11"), "");
	assert_int_equal(list.n, 1);
	assert_string_equal(list.specs[0].spec->name, "fan");
	assert_string_equal(list.specs[0].spec->argument, "11");
	assert_int_equal(list.specs[0].initial, OUTPUT_OFF);
	assert_int_equal(list.specs[0].exit, OUTPUT_OFF);
	assert_int_equal(list.specs[0].lost, OUTPUT_KEEP);
	assert_int_equal(list.specs[0].lost_after_ms, 30000);
	output_list_finish(&list);
	assert_string_equal(parse(""), "");
	assert_int_equal(list.n, 0);
	output_list_finish(&list);
}

static void test_options(void **state)
{
	(void)state;
	assert_string_equal(parse("a=gpio@x:1,initial=keep,exit=1,lost=0,lost-after=1500ms,"
				  "active-low=1,b=gpio@x:2,open-drain=1"),
		"");
	assert_int_equal(list.n, 2);
	assert_int_equal(list.specs[0].initial, OUTPUT_KEEP);
	assert_int_equal(list.specs[0].exit, OUTPUT_ON);
	assert_int_equal(list.specs[0].lost, OUTPUT_OFF);
	assert_int_equal(list.specs[0].lost_after_ms, 1500);
	assert_int_equal(list.specs[1].initial, OUTPUT_OFF);
	output_list_finish(&list);
}

static void test_what_is_wrong_is_said(void **state)
{
	(void)state;
	assert_refused("fan=gpoi@11", "there is no driver gpoi; did you mean gpio?");
	assert_refused("fan=servo@11", "there is no driver servo, there are: gpio");
	assert_refused("fan=gpio@11,exit=off", "exit=off: there are 0 1 keep");
	assert_refused(
		"fan=gpio@11,lost-after=2d", "lost-after=2d: a duration such as 30s");
	assert_refused("fan=gpio@11,retries=1", "driver gpio has no option retries, it "
						"has: active-low open-drain initial exit "
						"lost lost-after");
	assert_refused("fan=gpio@11,fan=gpio@12", "the name fan comes twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_an_output_has_unless_told),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_what_is_wrong_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
