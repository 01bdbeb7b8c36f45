#include "identity.h"
#include "support.h"

#define HEX "000102030405060708090a0b0c0d0e0f"
#define BOOT "6f1c2f0e-0000-4000-8000-0123456789ab"
#define SEQ_MAX "9007199254740992" /* 2^53 */

static const struct dp_identity plain = {
	.stream = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
	.first = 7,
	.count = 3,
};

static int decode(
	const struct dp_property *properties, size_t n, struct dp_identity *identity)
{
	const char *why = NULL;
	int err = dp_identity_decode(properties, n, identity, &why);
	if (err != 0)
		assert_non_null(why);
	return err;
}

static const char *property(const struct dp_identity_text *text, const char *name)
{
	for (size_t i = 0; i < text->n; i++) {
		if (strcmp(text->properties[i].name, name) == 0)
			return text->properties[i].value;
	}
	return NULL;
}

static void test_properties_are_written_as_the_contract_says(void **state)
{
	(void)state;
	struct dp_identity_text text;
	dp_identity_encode(&plain, &text);
	assert_int_equal(text.n, 4);
	assert_string_equal(property(&text, "v"), "1");
	assert_string_equal(property(&text, "stream"), HEX);
	assert_string_equal(property(&text, "first"), "7");
	assert_string_equal(property(&text, "count"), "3");
}

static void test_optional_properties_are_left_out_unless_they_say_something(void **state)
{
	(void)state;
	struct dp_identity identity = plain;
	struct dp_identity_text text;
	identity.low = 5;
	identity.clock = DP_CLOCK_UNSYNCED;
	identity.boottime_ns = 12;
	dp_identity_encode(&identity, &text);
	assert_int_equal(text.n, 6);
	assert_string_equal(property(&text, "low"), "5");
	assert_string_equal(property(&text, "clock"), "unsynced");
	assert_null(property(&text, "boottime"));

	identity.clock = DP_CLOCK_NONE;
	memcpy(identity.boot, BOOT, sizeof(BOOT));
	identity.wait_ms = 10000;
	identity.encoding = DP_ENCODING_DEFLATE;
	identity.offer = DP_ENCODING_DEFLATE;
	dp_identity_encode(&identity, &text);
	assert_int_equal(text.n, DP_IDENTITY_PROPERTIES);
	assert_string_equal(property(&text, "wait"), "10000");
	assert_string_equal(
		property(&text, "v"), "2"); /* a centre that knows 1 says later */
	assert_string_equal(property(&text, "encoding"), "deflate");
	assert_string_equal(property(&text, "offer"), "deflate");
	assert_string_equal(property(&text, "clock"), "none");
	assert_string_equal(property(&text, "boot"), BOOT);
	assert_string_equal(property(&text, "boottime"), "12");
}

static void test_what_is_written_is_read_back(void **state)
{
	(void)state;
	static const struct {
		uint64_t first, low;
		uint32_t count;
		enum dp_clock_mark clock;
	} cases[] = {
		{1, 0, 1, DP_CLOCK_SYNCED},
		{1, 1, 0, DP_CLOCK_SYNCED},
		{1, 1, DP_COUNT_MAX, DP_CLOCK_GUESSED},
		{500, 500, 1, DP_CLOCK_UNSYNCED},
		{500, 1, 0, DP_CLOCK_NONE},
		{DP_SEQ_MAX, DP_SEQ_MAX, 1, DP_CLOCK_NONE},
		{DP_SEQ_MAX - DP_COUNT_MAX + 1, 0, DP_COUNT_MAX, DP_CLOCK_SYNCED},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_identity in = plain, out;
		struct dp_identity_text text;
		in.first = cases[i].first;
		in.low = cases[i].low;
		in.count = cases[i].count;
		in.clock = cases[i].clock;
		if (in.clock == DP_CLOCK_NONE) {
			memcpy(in.boot, BOOT, sizeof(BOOT));
			in.boottime_ns = INT64_MAX;
		}
		dp_identity_encode(&in, &text);
		assert_int_equal(decode(text.properties, text.n, &out), 0);
		assert_memory_equal(out.stream.bytes, in.stream.bytes, DP_STREAM_BYTES);
		assert_true(out.first == in.first);
		assert_true(out.low == in.low);
		assert_int_equal(out.count, in.count);
		assert_int_equal(out.clock, in.clock);
		assert_string_equal(out.boot, in.boot);
		assert_true(out.boottime_ns == in.boottime_ns);
	}
}

enum { V, STREAM, FIRST, COUNT, LOW, CLOCK, BOOT_ID, BOOTTIME, ALL };

static void all_properties(struct dp_property properties[ALL])
{
	static const struct dp_property good[ALL] = {{"v", "1"}, {"stream", HEX},
		{"first", "7"}, {"count", "3"}, {"low", "5"}, {"clock", "none"},
		{"boot", BOOT}, {"boottime", "12"}};
	memcpy(properties, good, sizeof(good));
}

static void test_a_malformed_value_is_refused(void **state)
{
	(void)state;
	static const struct {
		int which;
		const char *value;
	} cases[] = {
		{STREAM, ""},
		{STREAM, "000102030405060708090a0b0c0d0e0"},
		{STREAM, HEX "0"},
		{STREAM, "000102030405060708090A0B0C0D0E0F"},
		{FIRST, ""},
		{FIRST, "0"},
		{FIRST, "-1"},
		{FIRST, "+7"},
		{FIRST, "7 "},
		{FIRST, "0x7"},
		{FIRST, "9007199254740993"},
		{FIRST, "18446744073709551616"},
		{COUNT, ""},
		{COUNT, "-1"},
		{COUNT, "10001"},
		{COUNT, "4294967297"},
		{COUNT, "three"},
		{LOW, ""},
		{LOW, "0"},
		{LOW, "8"},
		{LOW, "x"},
		{CLOCK, ""},
		{CLOCK, "synced"},
		{CLOCK, "None"},
		{BOOT_ID, BOOT "0"},
		{BOOTTIME, ""},
		{BOOTTIME, "-1"},
		{BOOTTIME, "9223372036854775808"},
	};
	struct dp_property properties[ALL];
	struct dp_identity identity;
	all_properties(properties);
	assert_int_equal(decode(properties, ALL, &identity), 0);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		all_properties(properties);
		properties[cases[i].which].value = cases[i].value;
		assert_int_equal(decode(properties, ALL, &identity), -EBADMSG);
	}
}

static void test_a_missing_property_is_refused(void **state)
{
	(void)state;
	static const int needed[] = {V, STREAM, FIRST, COUNT, BOOT_ID, BOOTTIME};
	struct dp_property properties[ALL];
	struct dp_identity identity;
	for (size_t i = 0; i < LENGTH(needed); i++) {
		all_properties(properties);
		properties[needed[i]].name = "something-else";
		assert_int_equal(decode(properties, ALL, &identity), -EBADMSG);
	}
	assert_int_equal(decode(NULL, 0, &identity), -EBADMSG);
}

static void test_a_run_may_not_go_beyond_the_last_number(void **state)
{
	(void)state;
	struct dp_property properties[ALL];
	struct dp_identity identity;
	all_properties(properties);
	properties[FIRST].value = SEQ_MAX;
	properties[COUNT].value = "1";
	assert_int_equal(decode(properties, ALL, &identity), 0);
	properties[COUNT].value = "2";
	assert_int_equal(decode(properties, ALL, &identity), -EBADMSG);
}

static void test_a_message_without_readings_needs_a_low(void **state)
{
	(void)state;
	struct dp_property properties[ALL];
	struct dp_identity identity;
	all_properties(properties);
	properties[COUNT].value = "0";
	assert_int_equal(decode(properties, ALL, &identity), 0);
	assert_int_equal(identity.count, 0);
	assert_int_equal(identity.low, 5);
	properties[LOW].name = "something-else";
	assert_int_equal(decode(properties, ALL, &identity), -EBADMSG);
}

static void test_a_known_property_that_comes_twice_is_refused(void **state)
{
	(void)state;
	struct dp_property properties[ALL + 1];
	struct dp_identity identity;
	for (int i = 0; i < ALL; i++) {
		all_properties(properties);
		properties[ALL] = properties[i];
		assert_int_equal(decode(properties, ALL + 1, &identity), -EBADMSG);
	}
}

static void test_unknown_properties_are_ignored_even_twice(void **state)
{
	(void)state;
	struct dp_property properties[ALL + 3];
	struct dp_identity identity;
	all_properties(properties);
	properties[ALL] = (struct dp_property){"colour", "blue"};
	properties[ALL + 1] = (struct dp_property){"colour", ""};
	properties[ALL + 2] = (struct dp_property){"", ""};
	assert_int_equal(decode(properties, ALL + 3, &identity), 0);
	assert_int_equal(identity.first, 7);
}

static void test_a_boot_id_counts_only_without_a_clock(void **state)
{
	(void)state;
	struct dp_property properties[ALL];
	struct dp_identity identity;
	all_properties(properties);
	properties[CLOCK].value = "guessed";
	properties[BOOTTIME].value = "nonsense";
	assert_int_equal(decode(properties, ALL, &identity), 0);
	assert_int_equal(identity.clock, DP_CLOCK_GUESSED);
	assert_string_equal(identity.boot, "");
}

static void test_another_version_is_told_apart_and_says_which_readings(void **state)
{
	(void)state;
	struct dp_property properties[ALL];
	struct dp_identity identity;
	all_properties(properties);
	properties[V].value = "3";
	assert_int_equal(decode(properties, ALL, &identity), -EPROTONOSUPPORT);
	assert_memory_equal(identity.stream.bytes, plain.stream.bytes, DP_STREAM_BYTES);
	assert_int_equal(identity.first, 7);
	assert_int_equal(identity.count, 3);

	properties[FIRST].value = "from the beginning";
	assert_int_equal(decode(properties, ALL, &identity), -EPROTONOSUPPORT);
	assert_int_equal(identity.count, 0);
	properties[V].value = "";
	assert_int_equal(decode(properties, ALL, &identity), -EPROTONOSUPPORT);
}

static void decode_with(
	const char *name, const char *value, struct dp_identity *identity, int expected)
{
	struct dp_property properties[ALL + 1];
	all_properties(properties);
	properties[ALL] = (struct dp_property){name, value};
	assert_int_equal(decode(properties, ALL + 1, identity), expected);
}

static void test_a_wait_that_makes_no_sense_costs_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		uint32_t wait_ms;
		bool odd;
	} cases[] = {{"0", 0, false}, {"1", 1, false}, {"60000", 60000, false},
		{"60001", 60000, true}, {"18446744073709551615", 60000, true},
		{"18446744073709551616", 0, true}, {"-1", 0, true}, {"", 0, true},
		{"1e3", 0, true}, {"ten", 0, true}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_identity identity;
		decode_with("wait", cases[i].value, &identity, 0);
		assert_int_equal(identity.wait_ms, cases[i].wait_ms);
		assert_true(identity.odd_wait == cases[i].odd);
	}
}

static void test_an_encoding_is_known_or_kept_by_its_sender(void **state)
{
	(void)state;
	struct dp_identity identity;
	decode_with("encoding", "deflate", &identity, 0);
	assert_int_equal(identity.encoding, DP_ENCODING_DEFLATE);
	decode_with("encoding", "br", &identity, -EPROTONOSUPPORT);
	assert_int_equal(identity.first, 7);
	assert_int_equal(identity.count, 3);
	decode_with("encoding", "", &identity, -EPROTONOSUPPORT);
}

static void test_an_offer_that_is_not_known_is_not_taken_up(void **state)
{
	(void)state;
	struct dp_identity identity;
	decode_with("offer", "deflate", &identity, 0);
	assert_int_equal(identity.offer, DP_ENCODING_DEFLATE);
	decode_with("offer", "br", &identity, 0);
	assert_int_equal(identity.offer, DP_ENCODING_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties_are_written_as_the_contract_says),
		cmocka_unit_test(
			test_optional_properties_are_left_out_unless_they_say_something),
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(test_a_malformed_value_is_refused),
		cmocka_unit_test(test_a_missing_property_is_refused),
		cmocka_unit_test(test_a_run_may_not_go_beyond_the_last_number),
		cmocka_unit_test(test_a_message_without_readings_needs_a_low),
		cmocka_unit_test(test_a_known_property_that_comes_twice_is_refused),
		cmocka_unit_test(test_unknown_properties_are_ignored_even_twice),
		cmocka_unit_test(test_a_boot_id_counts_only_without_a_clock),
		cmocka_unit_test(
			test_another_version_is_told_apart_and_says_which_readings),
		cmocka_unit_test(test_a_wait_that_makes_no_sense_costs_nothing),
		cmocka_unit_test(test_an_encoding_is_known_or_kept_by_its_sender),
		cmocka_unit_test(test_an_offer_that_is_not_known_is_not_taken_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
