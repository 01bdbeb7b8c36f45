#include "support.h"
#include "topic_aliases.h"

static struct dp_topic_aliases aliases;

/* Send a message on that topic. @return its alias, negative when the topic is left out */
static int sent(const char *topic)
{
	bool known;
	uint16_t alias = dp_topic_alias(&aliases, topic, &known);
	dp_topic_alias_sent(&aliases, topic, alias);
	return known ? -(int)alias : alias;
}

static int begin(void **state)
{
	(void)state;
	aliases = (struct dp_topic_aliases){.n = 0};
	dp_topic_aliases_begin(&aliases, 2);
	return 0;
}

static void test_a_topic_is_sent_once(void **state)
{
	(void)state;
	assert_int_equal(sent("a"), 1);
	assert_int_equal(sent("b"), 2);
	assert_int_equal(sent("a"), -1);
	assert_int_equal(sent("b"), -2);
}

static void test_there_are_no_more_than_the_other_side_takes(void **state)
{
	(void)state;
	assert_int_equal(sent("a"), 1);
	assert_int_equal(sent("b"), 2);
	assert_int_equal(sent("c"), 0);
	assert_int_equal(sent("c"), 0);
	assert_int_equal(sent("b"), -2);
	dp_topic_aliases_begin(&aliases, 0);
	assert_int_equal(sent("a"), 0);
	dp_topic_aliases_begin(&aliases, UINT16_MAX);
	for (int i = 1; i <= DP_TOPIC_ALIASES; i++) {
		const char topic[] = {(char)('a' + i), '\0'};
		assert_int_equal(sent(topic), i);
	}
	assert_int_equal(sent("a"), 0);
}

static void test_what_could_not_be_sent_is_not_known(void **state)
{
	(void)state;
	bool known;
	assert_int_equal(dp_topic_alias(&aliases, "a", &known), 1);
	assert_false(known);
	assert_int_equal(sent("b"), 1);
	assert_int_equal(sent("a"), 2);
}

static void test_a_connection_begins_anew(void **state)
{
	(void)state;
	assert_int_equal(sent("a"), 1);
	dp_topic_aliases_begin(&aliases, 2);
	assert_int_equal(sent("b"), 1);
	assert_int_equal(sent("a"), 2);
}

/* The other side says that the alias is invalid, or only that something was wrong. */
static void test_after_a_refusal_there_are_none(void **state)
{
	static const int reasons[] = {0x94, 0x82};
	for (size_t i = 0; i < LENGTH(reasons); i++) {
		begin(state);
		assert_int_equal(sent("a"), 1);
		assert_true(dp_topic_aliases_ended(&aliases, reasons[i]));
		assert_int_equal(sent("a"), 0);
		dp_topic_aliases_begin(&aliases, 2);
		assert_int_equal(sent("a"), 0);
		/* Once is enough to hear of it. */
		assert_false(dp_topic_aliases_ended(&aliases, reasons[i]));
	}
}

static void test_what_is_not_about_an_alias_takes_none_away(void **state)
{
	(void)state;
	assert_false(dp_topic_aliases_ended(&aliases, 0x82)); /* none was used */
	assert_int_equal(sent("a"), 1);
	assert_false(dp_topic_aliases_ended(&aliases, 0x8b)); /* server shutting down */
	assert_int_equal(sent("a"), -1);
	dp_topic_aliases_begin(&aliases, 2);
	assert_false(dp_topic_aliases_ended(&aliases, 0x82));
	assert_int_equal(sent("a"), 1);
}

static void test_a_topic_that_is_too_long_has_none(void **state)
{
	(void)state;
	char topic[DP_TOPIC_MAX + 1];
	memset(topic, 'a', DP_TOPIC_MAX);
	topic[DP_TOPIC_MAX] = '\0';
	assert_int_equal(sent(topic), 0);
	topic[DP_TOPIC_MAX - 1] = '\0';
	assert_int_equal(sent(topic), 1);
	assert_int_equal(sent(topic), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_topic_is_sent_once, begin),
		cmocka_unit_test_setup(
			test_there_are_no_more_than_the_other_side_takes, begin),
		cmocka_unit_test_setup(test_what_could_not_be_sent_is_not_known, begin),
		cmocka_unit_test_setup(test_a_connection_begins_anew, begin),
		cmocka_unit_test_setup(test_after_a_refusal_there_are_none, begin),
		cmocka_unit_test_setup(
			test_what_is_not_about_an_alias_takes_none_away, begin),
		cmocka_unit_test_setup(test_a_topic_that_is_too_long_has_none, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
