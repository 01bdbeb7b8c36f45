/* Whatever a value consists of, it stays one value of one line. */
#include "support.h"

#include "mosquitto-refusals/quote.h"

static void assert_quoted(const char *value, const char *expected)
{
	char out[64];
	size_t len = quote(value, out, sizeof(out));
	assert_string_equal(out, expected);
	assert_int_equal(len, strlen(expected));
}

static void test_plain_values_stay_as_they_are(void **state)
{
	(void)state;
	assert_quoted("orangepi0", "orangepi0");
	assert_quoted("$share/ingest//data/+/batch", "$share/ingest//data/+/batch");
	assert_quoted("fe80::1", "fe80::1");
}

static void test_the_others_are_between_quotes(void **state)
{
	(void)state;
	assert_quoted("", "\"\"");
	assert_quoted("two words", "\"two words\"");
	assert_quoted("a=b", "\"a=b\"");
	assert_quoted("a\" level=error", "\"a\\\" level=error\"");
	assert_quoted("a\\", "\"a\\\\\"");
	assert_quoted("a\nlevel=error\r\x1b[31m", "\"a\\x0alevel=error\\x0d\\x1b[31m\"");
	assert_quoted("\xc2\xb0\x7f", "\"\\xc2\\xb0\\x7f\"");
	assert_quoted("%s%n", "\"%s%n\"");
}

static void test_long_values_are_cut_after_a_whole_character(void **state)
{
	(void)state;
	char out[12];
	assert_int_equal(quote("abcdefghijk", out, sizeof(out)), 11);
	assert_string_equal(out, "abcdefghijk");
	assert_int_equal(quote("abcdefghijkl", out, sizeof(out)), 11);
	assert_string_equal(out, "\"abcdef...\"");
	quote("abcde\n\n\n", out, sizeof(out));
	assert_string_equal(out, "\"abcde...\"");
	quote("a bcdefgh", out, sizeof(out));
	assert_string_equal(out, "\"a bcdefgh\"");
	quote("a bcdefghi", out, sizeof(out));
	assert_string_equal(out, "\"a bcde...\"");
}

/* Where the quotes end, read as a reader of logfmt does. */
static size_t end_of_quotes(const char *text)
{
	size_t at = 1;
	while (text[at] != '"' && text[at] != '\0')
		at += text[at] == '\\' && text[at + 1] != '\0' ? 2 : 1;
	return at;
}

static void test_random_bytes_in_any_room(void **state)
{
	(void)state;
	uint64_t seed = 7;
	for (int i = 0; i < 20000; i++) {
		char value[41];
		size_t n = random_below(&seed, sizeof(value));
		for (size_t j = 0; j < n; j++)
			value[j] = (char)(1 + random_below(&seed, 255));
		value[n] = '\0';
		/* On the heap, so that a byte too many is an error. */
		size_t size = 8 + random_below(&seed, 60);
		char *out = malloc(size);
		if (out == NULL)
			abort();
		size_t len = quote(value, out, size);
		assert_true(len < size);
		assert_int_equal(len, strlen(out));
		for (size_t j = 0; j < len; j++)
			assert_in_range(out[j], 0x20, 0x7e);
		if (out[0] == '"')
			assert_int_equal(end_of_quotes(out), len - 1);
		else
			assert_string_equal(out, value);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_values_stay_as_they_are),
		cmocka_unit_test(test_the_others_are_between_quotes),
		cmocka_unit_test(test_long_values_are_cut_after_a_whole_character),
		cmocka_unit_test(test_random_bytes_in_any_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
