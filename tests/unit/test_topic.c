#include "support.h"
#include "topic.h"

static void test_names_have_a_small_charset_and_64_bytes(void **state)
{
	(void)state;
	static const char *const good[] = {
		"a", "Z", "0", "raspberrypi4", "orange-pi_0.lan", "a..b", "9-_."};
	static const char *const bad[] = {"", "-a", ".a", "_a", "a b", "a/b", "a+", "a#",
		"$a", "\xc3\xa9t\xc3\xa9", "e\xcc\x81", "a\n", "a\"", "a\x7f"};
	char longest[DP_NAME_MAX + 2];
	for (size_t i = 0; i < LENGTH(good); i++)
		assert_true(dp_name_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(dp_name_valid(bad[i], strlen(bad[i])));
	memset(longest, 'n', sizeof(longest));
	assert_true(dp_name_valid(longest, DP_NAME_MAX));
	assert_false(dp_name_valid(longest, DP_NAME_MAX + 1));
	assert_false(dp_name_valid("a\0b", 3));
	assert_true(dp_name_valid("a b", 1));
}

static void test_prefixes_are_topics_without_wildcards(void **state)
{
	(void)state;
	static const char *const good[] = {"/data", "data", "a/b/c", "//a", "site-1/data"};
	static const char *const bad[] = {"", "/", "/data/", "+/data", "/data/#", "$SYS",
		"/da ta", "/da\tta", "/da\nta", "/d\xc3\xa4ta", "/da\x7fta"};
	char longest[258];
	for (size_t i = 0; i < LENGTH(good); i++)
		assert_true(dp_topic_prefix_valid(good[i]));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(dp_topic_prefix_valid(bad[i]));
	memset(longest, 'p', sizeof(longest));
	longest[257] = '\0';
	assert_false(dp_topic_prefix_valid(longest));
	longest[256] = '\0';
	assert_true(dp_topic_prefix_valid(longest));
}

static void test_the_node_is_taken_out_of_a_topic(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *prefix, *suffix, *node;
	} cases[] = {
		{"/data/orangepi0", "/data", "", "orangepi0"},
		{"/data/orangepi0/batch", "/data", "/batch", "orangepi0"},
		{"/data/batch/batch", "/data", "/batch", "batch"},
		{"a/b/c", "a/b", "", "c"},
		{"/data/n", "/data", "", "n"},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char node[DP_NAME_MAX + 1] = "";
		assert_int_equal(dp_topic_node(cases[i].topic, cases[i].prefix,
					 cases[i].suffix, node),
			0);
		assert_string_equal(node, cases[i].node);
	}
}

static void test_topics_of_another_form_have_no_node(void **state)
{
	(void)state;
	static const struct {
		const char *topic, *prefix, *suffix;
	} cases[] = {
		{"", "/data", ""},
		{"/data", "/data", ""},
		{"/data/", "/data", ""},
		{"/data/a/b", "/data", ""},
		{"/datax/a", "/data", ""},
		{"/dataxa", "/data", ""},
		{"/data-a/batch", "/data", "/batch"},
		{"data/a", "/data", ""},
		{"/data/-a", "/data", ""},
		{"/data/batch", "/data", "/batch"},
		{"/data//batch", "/data", "/batch"},
		{"/data/a/b/batch", "/data", "/batch"},
		{"/data/a/batches", "/data", "/batch"},
		{"/data/a", "/data", "/batch"},
		{"/data/a b/batch", "/data", "/batch"},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char node[DP_NAME_MAX + 1] = "untouched";
		assert_int_equal(dp_topic_node(cases[i].topic, cases[i].prefix,
					 cases[i].suffix, node),
			-EINVAL);
		assert_string_equal(node, "untouched");
	}
}

static void test_the_longest_node_name_fits_and_a_longer_one_is_refused(void **state)
{
	(void)state;
	char topic[128] = "/data/";
	char node[DP_NAME_MAX + 1];
	memset(topic + 6, 'n', DP_NAME_MAX + 1);
	assert_int_equal(dp_topic_node(topic, "/data", "", node), -EINVAL);
	topic[6 + DP_NAME_MAX] = '\0';
	assert_int_equal(dp_topic_node(topic, "/data", "", node), 0);
	assert_int_equal(strlen(node), DP_NAME_MAX);
}

static void test_answers_go_only_below_the_nodes_own_ack_topic(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "ack", "ack/", "ack/a", "ack/a/", "ack/b/1",
		"ack/ab/1", "ack/a/b/c", "/ack/a/1", "ack/a/+", "ack/a/#", "ack/a/-",
		"status/a", "cmd/a/relay/set", "ack//1"};
	assert_true(dp_topic_is_ack_of("ack/a/0123456789abcdef", "a"));
	assert_true(dp_topic_is_ack_of("ack/node-1.lan/x", "node-1.lan"));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(dp_topic_is_ack_of(bad[i], "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_have_a_small_charset_and_64_bytes),
		cmocka_unit_test(test_prefixes_are_topics_without_wildcards),
		cmocka_unit_test(test_the_node_is_taken_out_of_a_topic),
		cmocka_unit_test(test_topics_of_another_form_have_no_node),
		cmocka_unit_test(
			test_the_longest_node_name_fits_and_a_longer_one_is_refused),
		cmocka_unit_test(test_answers_go_only_below_the_nodes_own_ack_topic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
