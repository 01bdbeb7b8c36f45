#include "number.h"
#include "support.h"

#include <float.h>
#include <math.h>

static void test_whole_numbers_within_the_range_are_taken(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t min, max, value;
	} cases[] = {
		{"0", 0, 0, 0},
		{"-0", 0, 10, 0},
		{"007", 0, 10, 7},
		{"10", -10, 10, 10},
		{"-10", -10, 10, -10},
		{"9007199254740992", 0, INT64_MAX, INT64_C(9007199254740992)},
		{"9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX},
		{"-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t value = 99;
		assert_int_equal(
			dp_parse_i64(cases[i].text, cases[i].min, cases[i].max, &value), 0);
		assert_true(value == cases[i].value);
	}
}

static void test_what_is_no_whole_number_is_refused_and_nothing_written(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "-", "+1", " 1", "1 ", "1x", "x1", "0x10",
		"1.5", "1e3", "--1", "- 1", "\t1", "1\n"};
	for (size_t i = 0; i < LENGTH(texts); i++) {
		int64_t value = 99;
		assert_int_equal(
			dp_parse_i64(texts[i], INT64_MIN, INT64_MAX, &value), -EINVAL);
		assert_int_equal(value, 99);
	}
}

static void test_whole_numbers_outside_the_range_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t min, max;
	} cases[] = {
		{"11", -10, 10},
		{"-11", -10, 10},
		{"0", 1, INT64_MAX},
		{"9223372036854775808", INT64_MIN, INT64_MAX},
		{"-9223372036854775809", INT64_MIN, INT64_MAX},
		{"99999999999999999999999999", INT64_MIN, INT64_MAX},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t value = 99;
		assert_int_equal(
			dp_parse_i64(cases[i].text, cases[i].min, cases[i].max, &value),
			-ERANGE);
		assert_int_equal(value, 99);
	}
}

static void test_unsigned_numbers_are_digits_up_to_64_bits(void **state)
{
	(void)state;
	static const char *const malformed[] = {
		"", "-1", "-0", "+1", " 1", "1 ", "0x1", "1.0"};
	uint64_t value = 99;
	for (size_t i = 0; i < LENGTH(malformed); i++) {
		assert_int_equal(dp_parse_u64(malformed[i], &value), -EINVAL);
		assert_int_equal(value, 99);
	}
	assert_int_equal(dp_parse_u64("18446744073709551616", &value), -ERANGE);
	assert_int_equal(value, 99);
	assert_int_equal(dp_parse_u64("18446744073709551615", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(dp_parse_u64("0", &value), 0);
	assert_true(value == 0);
}

static void test_decimals_are_taken_in_the_c_locales_form(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
	} cases[] = {{"0", 0}, {"24.8", 24.8}, {"-2.5e-3", -0.0025}, {".5", 0.5}, {"1.", 1},
		{"1E3", 1000}, {"1e-400", 0}, {"1.7976931348623157e308", DBL_MAX}};
	static const char *const malformed[] = {"", "+1", " 1", "1 ", "1,5", "1e", "e1",
		".", "-", "inf", "nan", "0x1p3", "1.2.3", "1-2", "24.8C"};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		double value = 99;
		assert_int_equal(dp_parse_double(cases[i].text, &value), 0);
		assert_true(value == cases[i].value);
	}
	for (size_t i = 0; i < LENGTH(malformed); i++) {
		double value = 99;
		assert_int_equal(dp_parse_double(malformed[i], &value), -EINVAL);
		assert_true(value == 99);
	}
	double value = 99;
	assert_int_equal(dp_parse_double("1e309", &value), -ERANGE);
	assert_int_equal(dp_parse_double("-1e309", &value), -ERANGE);
	assert_true(value == 99);
}

static void test_durations_have_a_count_and_a_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {{"250ms", 250}, {"1ms", 1}, {"10s", 10000}, {"15m", 900000},
		{"1h", 3600000}, {"30d", INT64_C(2592000000)}, {"2w", 1209600000},
		{"1y", INT64_C(31536000000)}, {"9223372036854775807ms", INT64_MAX}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t ms = 99;
		assert_int_equal(dp_parse_duration_ms(cases[i].text, &ms), 0);
		assert_true(ms == cases[i].ms);
	}
}

static void test_a_wait_may_be_none_and_has_an_end(void **state)
{
	int64_t ms = -1;
	(void)state;
	assert_int_equal(dp_parse_wait_ms("0", 1000, &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(dp_parse_wait_ms("1s", 1000, &ms), 0);
	assert_int_equal(ms, 1000);
	assert_int_equal(dp_parse_wait_ms("1001ms", 1000, &ms), -ERANGE);
	assert_int_equal(dp_parse_wait_ms("0s", 1000, &ms), -ERANGE);
	assert_int_equal(dp_parse_wait_ms("00", 1000, &ms), -EINVAL);
	assert_int_equal(dp_parse_wait_ms("", 1000, &ms), -EINVAL);
	assert_int_equal(ms, 1000);
}

static void test_malformed_durations_are_refused(void **state)
{
	(void)state;
	static const char *const malformed[] = {"", "s", "10", "1.5s", "-1s", "+1s", " 1s",
		"1 s", "1S", "10sec", "1mss", "1s ", "0x1s"};
	static const char *const outside[] = {"0s", "0ms", "9223372036854775808ms",
		"9223372036854775807s", "106751991168d", "99999999999999999999s"};
	for (size_t i = 0; i < LENGTH(malformed); i++) {
		int64_t ms = 99;
		assert_int_equal(dp_parse_duration_ms(malformed[i], &ms), -EINVAL);
		assert_int_equal(ms, 99);
	}
	for (size_t i = 0; i < LENGTH(outside); i++) {
		int64_t ms = 99;
		assert_int_equal(dp_parse_duration_ms(outside[i], &ms), -ERANGE);
		assert_int_equal(ms, 99);
	}
}

static void test_a_double_is_written_as_people_write_it(void **state)
{
	(void)state;
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"}, {25.6, "25.6"}, {-0.1, "-0.1"}, {52.123456, "52.123456"},
		{15.000001, "15.000001"}, {100, "100"}, {1.0 / 3, "0.3333333333333333"},
		{0.1 + 0.2, "0.30000000000000004"},
		{9007199254740992.0, "9007199254740992"}, {5e-324, "4.94066e-324"}};
	char buf[32];
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(
			dp_format_double(buf, cases[i].value), strlen(cases[i].text));
		assert_string_equal(buf, cases[i].text);
	}
}

/* Digits of a number's text that say something. */
static int significant_digits(const char *text)
{
	int n = 0, zeros = 0;
	for (; *text != '\0' && *text != 'e'; text++) {
		if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
			continue;
		n++;
		zeros = *text == '0' ? zeros + 1 : 0;
	}
	return n - zeros;
}

static void test_any_double_is_read_back_exactly_and_none_is_longer_than_needed(
	void **state)
{
	(void)state;
	uint64_t random = 20261122;
	print_message("seed %llu\n", (unsigned long long)random);
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = next_random(&random);
		double value;
		char buf[32], shorter[320];
		if (i % 2 == 0)
			value = (double)(int64_t)random_below(&random, 200000000) / 1e6 -
				100;
		else
			memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		size_t len = dp_format_double(buf, value);
		assert_int_equal(len, strlen(buf));
		assert_true(strtod(buf, NULL) == value);
		int digits = significant_digits(buf);
		/* Up to 6 digits are written at once; only beyond that is it a choice. */
		if (digits > 6 && fabs(value) >= DBL_MIN) {
			snprintf(shorter, sizeof(shorter), "%.*g", digits - 1, value);
			assert_false(strtod(shorter, NULL) == value);
		}
	}
}

static void test_well_formed_utf8_is_recognised(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
		bool valid;
	} cases[] = {
		{"", 0, true},
		{"plain", 5, true},
		{"a\0b", 3, true},
		{"\x7f", 1, true},
		{"24.8\xc2\xb0"
		 "C",
			7, true},
		{"\xc2\x80", 2, true},		    /* U+0080 */
		{"\xdf\xbf", 2, true},		    /* U+07FF */
		{"\xe0\xa0\x80", 3, true},	    /* U+0800 */
		{"\xed\x9f\xbf", 3, true},	    /* U+D7FF */
		{"\xee\x80\x80", 3, true},	    /* U+E000 */
		{"\xef\xbf\xbf", 3, true},	    /* U+FFFF */
		{"\xf0\x90\x80\x80", 4, true},	    /* U+10000 */
		{"\xf4\x8f\xbf\xbf", 4, true},	    /* U+10FFFF */
		{"\x80", 1, false},		    /* a continuation alone */
		{"\xc2", 1, false},		    /* cut off */
		{"\xe2\x82", 2, false},		    /* cut off */
		{"\xf0\x9f\x98", 3, false},	    /* cut off */
		{"\xc2\xb0", 1, false},		    /* cut off by the length */
		{"\xc2\x20", 2, false},		    /* no continuation */
		{"\xe2\x82\x20", 3, false},	    /* no continuation */
		{"\xc0\x80", 2, false},		    /* overlong NUL */
		{"\xc1\xbf", 2, false},		    /* overlong */
		{"\xe0\x9f\xbf", 3, false},	    /* overlong */
		{"\xf0\x8f\xbf\xbf", 4, false},	    /* overlong */
		{"\xed\xa0\x80", 3, false},	    /* surrogate */
		{"\xed\xbf\xbf", 3, false},	    /* surrogate */
		{"\xf4\x90\x80\x80", 4, false},	    /* above U+10FFFF */
		{"\xf8\x88\x80\x80\x80", 5, false}, /* five bytes */
		{"\xff", 1, false},
		{"ok\xfe", 3, false},
	};
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(
			dp_utf8_valid(cases[i].bytes, cases[i].len), cases[i].valid);
}

static void test_a_text_is_cut_between_characters(void **state)
{
	(void)state;
	static const char text[] =
		"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"; /* 1 to 4 bytes */
	static const size_t cut[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10, 10};
	for (size_t most = 0; most < LENGTH(cut); most++)
		assert_int_equal(dp_utf8_cut(text, most), cut[most]);
	assert_int_equal(dp_utf8_cut("", 5), 0);
}

static void test_hexadecimal_is_lower_case_and_of_exact_length(void **state)
{
	(void)state;
	static const uint8_t bytes[4] = {0x00, 0x0f, 0xa9, 0xff};
	static const struct {
		const char *hex;
		size_t len;
	} malformed[] = {{"000fa9f", 7}, {"000fa9ff0", 9}, {"000FA9FF", 8}, {"000fa9fg", 8},
		{"000fa9f ", 8}, {" 00fa9ff", 8}, {"0x0fa9ff", 8}, {"", 0}};
	char hex[9] = "????????";
	uint8_t back[4] = {1, 2, 3, 4};
	dp_hex_encode(bytes, 4, hex);
	assert_string_equal(hex, "000fa9ff");
	assert_int_equal(dp_hex_decode(hex, 8, back, 4), 0);
	assert_memory_equal(back, bytes, 4);
	for (size_t i = 0; i < LENGTH(malformed); i++)
		assert_int_equal(dp_hex_decode(malformed[i].hex, malformed[i].len, back, 4),
			-EINVAL);
	assert_int_equal(dp_hex_decode("", 0, back, 0), 0);
	dp_hex_encode(bytes, 0, hex);
	assert_string_equal(hex, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_numbers_within_the_range_are_taken),
		cmocka_unit_test(
			test_what_is_no_whole_number_is_refused_and_nothing_written),
		cmocka_unit_test(test_whole_numbers_outside_the_range_are_refused),
		cmocka_unit_test(test_unsigned_numbers_are_digits_up_to_64_bits),
		cmocka_unit_test(test_decimals_are_taken_in_the_c_locales_form),
		cmocka_unit_test(test_durations_have_a_count_and_a_unit),
		cmocka_unit_test(test_a_wait_may_be_none_and_has_an_end),
		cmocka_unit_test(test_malformed_durations_are_refused),
		cmocka_unit_test(test_a_double_is_written_as_people_write_it),
		cmocka_unit_test(
			test_any_double_is_read_back_exactly_and_none_is_longer_than_needed),
		cmocka_unit_test(test_well_formed_utf8_is_recognised),
		cmocka_unit_test(test_a_text_is_cut_between_characters),
		cmocka_unit_test(test_hexadecimal_is_lower_case_and_of_exact_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
