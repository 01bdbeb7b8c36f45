#include "sampler/command.h"
#include "support.h"

static const char *why;

static int parse(const char *text, struct command *command)
{
	why = NULL;
	int err = command_parse(text, strlen(text), command, &why);
	assert_int_equal(err != 0, why != NULL);
	return err;
}

static void test_a_value_alone_or_in_json(void **state)
{
	static const struct {
		const char *text;
		bool value;
	} cases[] = {{"0", false}, {"1", true}, {"on", true}, {"OFF", false},
		{"True", true}, {"false", false}, {"{\"value\":1}", true},
		{"{\"value\":0}", false}, {"{\"value\":true}", true},
		{"{\"value\":\"off\"}", false}, {"{\"value\":\"ON\",\"other\":[1]}", true}};
	struct command command;
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(parse(cases[i].text, &command), 0);
		assert_int_equal(command.value, cases[i].value);
		assert_int_equal(command.for_ms, 0);
		assert_true(command.expires_s == 0);
	}
}

static void test_pulses_and_expiry(void **state)
{
	struct command command;
	(void)state;
	assert_int_equal(
		parse("{\"value\":1,\"for_ms\":500,\"expires\":1732312345.5}", &command),
		0);
	assert_int_equal(command.for_ms, 500);
	assert_true(command.expires_s == 1732312345.5);
	assert_int_equal(parse("{\"value\":1,\"for_ms\":3600000}", &command), 0);
}

static void test_what_is_no_command_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "it is neither JSON with a value nor 0, 1, on or off"},
		{"2", "it is neither JSON with a value nor 0, 1, on or off"},
		{"[1]", "it is neither JSON with a value nor 0, 1, on or off"},
		{"{\"value\":1", "it is neither JSON with a value nor 0, 1, on or off"},
		{"{\"value\":1,\"value\":0}",
			"it is neither JSON with a value nor 0, 1, on or off"},
		{"{}", "value is 0, 1, true, false, on or off"},
		{"{\"value\":2}", "value is 0, 1, true, false, on or off"},
		{"{\"value\":-1}", "value is 0, 1, true, false, on or off"},
		{"{\"value\":0.5}", "value is 0, 1, true, false, on or off"},
		{"{\"value\":null}", "value is 0, 1, true, false, on or off"},
		{"{\"value\":1,\"for_ms\":0}",
			"for_ms is a whole number from 1 to 3600000"},
		{"{\"value\":1,\"for_ms\":3600001}",
			"for_ms is a whole number from 1 to 3600000"},
		{"{\"value\":1,\"for_ms\":\"5\"}",
			"for_ms is a whole number from 1 to 3600000"},
		{"{\"value\":1,\"for_ms\":null}",
			"for_ms is a whole number from 1 to 3600000"},
		{"{\"value\":1,\"expires\":0}", "expires is a time in seconds since 1970"},
		{"{\"value\":1,\"expires\":\"soon\"}",
			"expires is a time in seconds since 1970"},
	};
	struct command command;
	char long_text[1100];
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(parse(cases[i].text, &command), -EINVAL);
		assert_string_equal(why, cases[i].why);
	}
	memset(long_text, ' ', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(parse(long_text, &command), -EINVAL);
	assert_string_equal(why, "it is longer than 1024 bytes");
}

/* Bytes that are no text at all are looked at within their length only. */
static void test_random_bytes(void **state)
{
	static const char alphabet[] = "{}[]\":,valuefor_ms01\\\x00\xff\xc3 ";
	uint64_t random = 7;
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct command command;
		size_t len = (size_t)random_below(&random, 64);
		char *bytes = malloc(len > 0 ? len : 1);
		assert_non_null(bytes);
		for (size_t k = 0; k < len; k++)
			bytes[k] = alphabet[random_below(&random, sizeof(alphabet) - 1)];
		why = NULL;
		int err = command_parse(bytes, len, &command, &why);
		assert_int_equal(err != 0, why != NULL);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_value_alone_or_in_json),
		cmocka_unit_test(test_pulses_and_expiry),
		cmocka_unit_test(test_what_is_no_command_is_refused_with_the_reason),
		cmocka_unit_test(test_random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
