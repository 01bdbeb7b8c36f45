#include "reading.h"
#include "support.h"

#define NOW_US INT64_C(1800000000000000)
#define TIME "1732312345.5"
#define TIME_US INT64_C(1732312345500000)

/*
 * What a pack says, a reading a line: `sensor@ts quantity=value(unit) ...` or `!reason`;
 * `@-` without a time, `@now+x` relative to now.
 */
static void describe(
	const char *json, size_t len, enum dp_senml_mode mode, char *text, size_t size)
{
	struct dp_senml *pack = NULL;
	struct dp_reading reading;
	const char *why = NULL;
	size_t used = 0;
	text[0] = '\0';
	/* A copy of exactly that size: what is behind it may not be read. */
	char *copy = malloc(len + (len == 0));
	assert_non_null(copy);
	memcpy(copy, json, len);
	int err = dp_senml_open(&pack, copy, len, mode, NOW_US, &why);
	if (err != 0) {
		assert_int_equal(err, -EBADMSG);
		snprintf(text, size, "!!%s", why);
		free(copy);
		return;
	}
	size_t n = 0;
	while ((err = dp_senml_next(pack, &reading, &why)) != 0) {
		n++;
		const char *newline = used > 0 ? "\n" : "";
		if (err < 0) {
			assert_int_equal(err, -EBADMSG);
			used += (size_t)snprintf(
				text + used, size - used, "%s!%s", newline, why);
			continue;
		}
		used += (size_t)snprintf(text + used, size - used, "%s%.*s@", newline,
			(int)reading.sensor.len, reading.sensor.at);
		if (!reading.has_time)
			used += (size_t)snprintf(text + used, size - used, "-");
		else
			used += (size_t)snprintf(
				text + used, size - used, "%lld", (long long)reading.ts_us);
		for (unsigned i = 0; i < reading.n; i++) {
			const struct dp_value *v = &reading.values[i];
			used += (size_t)snprintf(text + used, size - used, " %.*s=%g",
				(int)v->quantity.len, v->quantity.at, v->value);
			if (v->unit.len > 0)
				used += (size_t)snprintf(text + used, size - used, "(%.*s)",
					(int)v->unit.len, v->unit.at);
		}
		assert_true(used < size);
	}
	if (mode == DP_SENML_NATIVE)
		assert_int_equal(n, dp_senml_count(pack));
	assert_int_equal(dp_senml_next(pack, &reading, &why), 0);
	dp_senml_close(pack);
	free(copy);
}

static void assert_pack(const char *json, enum dp_senml_mode mode, const char *expected)
{
	static char text[8192];
	describe(json, strlen(json), mode, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_each_base_name_begins_a_native_reading(void **state)
{
	(void)state;
	/* The same sensor and time twice are still two readings. */
	assert_pack("[{\"bn\":\"a/\",\"bt\":" TIME ",\"n\":\"t\",\"u\":\"Cel\",\"v\":1},"
		    "{\"n\":\"h\",\"v\":2},"
		    "{\"bn\":\"a/\",\"bt\":" TIME ",\"n\":\"t\",\"v\":3},"
		    "{\"bn\":\"b/\",\"n\":\"t\",\"v\":-4.5e1}]",
		DP_SENML_NATIVE,
		"a@1732312345500000 t=1(Cel) h=2\na@1732312345500000 "
		"t=3\nb@1732312345500000 "
		"t=-45");
}

static void test_an_empty_pack_has_no_readings(void **state)
{
	(void)state;
	assert_pack("[]", DP_SENML_NATIVE, "");
	assert_pack(" [ ] ", DP_SENML_ANY, "");
}

static void test_what_is_no_pack_cannot_be_opened(void **state)
{
	(void)state;
	static const char not_json[] = "!!not valid JSON";
	static const char no_array[] = "!!not a SenML pack: the payload is no JSON array";
	static const struct {
		const char *json, *text;
	} cases[] = {{"", not_json}, {"[", not_json}, {"[{]", not_json},
		{"[] []", not_json}, {"[{\"n\":\"a\",\"v\":1},]", not_json},
		{"[{'n':'a'}]", not_json}, {"[{\"n\":\"\xff\",\"v\":1}]", not_json},
		{"[{\"n\":\"\xc0\x80\",\"v\":1}]", not_json},
		{"[{\"n\":\"a\",\"v\":1e999}]", not_json},
		{"[{\"n\":\"a\",\"v\":NaN}]", not_json}, {"{}", no_array},
		{"\"a\"", no_array}, {"7", no_array}, {"null", no_array}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_pack(cases[i].json, DP_SENML_NATIVE, cases[i].text);
		assert_pack(cases[i].json, DP_SENML_ANY, cases[i].text);
	}
	static char text[256];
	describe("[]\0[]", 5, DP_SENML_NATIVE, text, sizeof(text));
	assert_string_equal(text, not_json);
}

static void test_a_reading_of_a_native_pack_is_of_one_sensor_and_one_time(void **state)
{
	(void)state;
	static const char differ[] = "!the records of a reading differ in sensor or time";
	assert_pack("[{\"bn\":\"a/\",\"bt\":" TIME ",\"n\":\"t\",\"v\":1},"
		    "{\"n\":\"h\",\"t\":1,\"v\":2}]",
		DP_SENML_NATIVE, differ);
	assert_pack("[{\"bn\":\"a/\",\"bt\":" TIME ",\"n\":\"t\",\"v\":1},"
		    "{\"n\":\"b/h\",\"v\":2}]",
		DP_SENML_NATIVE, differ);
}

static void test_a_bad_reading_does_not_spoil_its_neighbours(void **state)
{
	(void)state;
	assert_pack("[{\"bn\":\"a/\",\"bt\":" TIME ",\"n\":\"t\",\"v\":1},"
		    "{\"bn\":\"a/\",\"n\":\"t\",\"v\":\"hot\"},{\"n\":\"h\",\"v\":2},"
		    "{\"bn\":\"a/\",\"n\":\"t\",\"v\":3}]",
		DP_SENML_NATIVE,
		"a@1732312345500000 t=1\n"
		"!a SenML member has the wrong type, or must be understood and is not\n"
		"a@1732312345500000 t=3");
}

static void test_records_that_cannot_be_used_say_why(void **state)
{
	(void)state;
	static const char type[] =
		"!a SenML member has the wrong type, or must be understood and is not";
	static const char name[] =
		"!a SenML name is missing, too long or has characters not allowed";
	static const char value[] = "!a SenML record has no numeric value";
	static const char time[] = "!a SenML time is out of range";
	static const char unit[] = "!a SenML value is not finite or its unit is malformed";
	static const char large[] = "!a value is beyond 1e100";
	static const struct {
		const char *record, *text;
	} cases[] = {
		{"7", "!a SenML record is no JSON object"},
		{"null", "!a SenML record is no JSON object"},
		{"{\"bn\":7,\"n\":\"t\",\"v\":1}", type},
		{"{\"bn\":\"a/\",\"n\":null,\"v\":1}", type},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"u\":1,\"v\":1}", type},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"v\":\"1\"}", type},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"v\":true}", type},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"vb\":1}", type},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"t\":\"now\",\"v\":1}", type},
		{"{\"bn\":\"a/\",\"bt\":\"now\",\"n\":\"t\",\"v\":1}", type},
		{"{\"bn\":\"a/\",\"bu\":1,\"n\":\"t\",\"v\":1}", type},
		{"{\"bn\":\"a/\",\"bv\":\"1\",\"n\":\"t\",\"v\":1}", type},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"v\":1,\"x_\":1}", type},
		{"{\"bver\":11,\"bn\":\"a/\",\"n\":\"t\",\"v\":1}", type},
		{"{\"v\":1}", name},
		{"{\"bn\":\"a/\",\"v\":1}", name},
		{"{\"bn\":\"a/\",\"n\":\"\",\"v\":1}", name},
		{"{\"bn\":\"a/\",\"n\":\"-t\",\"v\":1}", name},
		{"{\"bn\":\"a/\",\"n\":\"t t\",\"v\":1}", name},
		{"{\"bn\":\"a b/\",\"n\":\"t\",\"v\":1}", name},
		{"{\"bn\":\"a+/\",\"n\":\"t\",\"v\":1}", name},
		{"{\"bn\":\"a#/\",\"n\":\"t\",\"v\":1}", name},
		{"{\"bn\":\"\\u00e4/\",\"n\":\"t\",\"v\":1}", name},
		{"{\"bn\":\"a\\u0000\",\"n\":\"t\",\"v\":1}", name},
		{"{\"bn\":\"a/\",\"n\":\"t\\u0000\",\"v\":1}", name},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"v\":1.01e100}", large},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"v\":-1.7e308}", large},
		{"{\"bn\":\"a/\",\"bv\":9e99,\"n\":\"t\",\"v\":9e99}", large},
		{"{\"bn\":\"a/\",\"n\":\"t\"}", value},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"vs\":\"on\"}", value},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"vd\":\"AA\"}", value},
		{"{\"bn\":\"a/\",\"bt\":9007199254,\"n\":\"t\",\"v\":1}", time},
		{"{\"bn\":\"a/\",\"bt\":-9007199254,\"n\":\"t\",\"v\":1}", time},
		{"{\"bn\":\"a/\",\"bt\":1e308,\"t\":1e308,\"n\":\"t\",\"v\":1}", time},
		{"{\"bn\":\"a/\",\"bv\":1.7e308,\"n\":\"t\",\"v\":1.7e308}", unit},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"u\":\"12345678901234567\",\"v\":1}", unit},
		{"{\"bn\":\"a/\",\"n\":\"t\",\"u\":\"\\u00b0C\",\"v\":1}", unit},
	};
	char json[256];
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(json, sizeof(json), "[%s]", cases[i].record);
		assert_pack(json, DP_SENML_NATIVE, cases[i].text);
		assert_pack(json, DP_SENML_ANY, cases[i].text);
	}
}

static void test_members_that_need_not_be_understood_are_ignored(void **state)
{
	(void)state;
	assert_pack("[{\"bver\":10,\"bn\":\"a/\",\"bt\":" TIME
		    ",\"n\":\"t\",\"v\":1,\"ut\":5,"
		    "\"s\":3,\"colour\":\"blue\",\"_x\":null,\"\":1}]",
		DP_SENML_NATIVE, "a@1732312345500000 t=1");
}

static void test_base_fields_carry_forward(void **state)
{
	(void)state;
	assert_pack("[{\"bn\":\"a/"
		    "\",\"bt\":1732312345,\"bu\":\"Cel\",\"bv\":10,\"n\":\"t\",\"v\":1},"
		    "{\"n\":\"h\",\"u\":\"%RH\",\"v\":2},"
		    "{\"n\":\"t\",\"t\":0.5,\"v\":3},"
		    "{\"bn\":\"b/\",\"bv\":0,\"n\":\"on\",\"vb\":true,\"u\":\"/\"}]",
		DP_SENML_ANY,
		"a@1732312345000000 t=11(Cel) h=12(%RH)\n"
		"a@1732312345500000 t=13(Cel)\n"
		"b@1732312345000000 on=1(/)");
}

static void test_other_peoples_readings_are_cut_where_sensor_or_time_change(void **state)
{
	(void)state;
	assert_pack("[{\"n\":\"a/t\",\"t\":" TIME ",\"v\":1},{\"n\":\"a/h\",\"t\":" TIME
		    ",\"v\":2},"
		    "{\"n\":\"b/t\",\"t\":" TIME
		    ",\"v\":3},{\"n\":\"b/h\",\"t\":1732312346,\"v\":4},"
		    "{\"n\":\"b/p\",\"t\":1732312346,\"v\":5}]",
		DP_SENML_ANY,
		"a@1732312345500000 t=1 h=2\nb@1732312345500000 t=3\nb@1732312346000000 "
		"h=4 p=5");
}

static void test_other_peoples_names_are_split_at_the_last_separator(void **state)
{
	(void)state;
	assert_pack(
		"[{\"bn\":\"urn:dev:ow:10e2073a0108006:\",\"n\":\"temperature\",\"v\":1}]",
		DP_SENML_ANY, "urn:dev:ow:10e2073a0108006@- temperature=1");
	assert_pack(
		"[{\"n\":\"kitchen/wall/t\",\"v\":1}]", DP_SENML_ANY, "kitchen/wall@- t=1");
	assert_pack("[{\"bn\":\"kit\",\"n\":\"chen:t\",\"v\":1}]", DP_SENML_ANY,
		"kitchen@- t=1");
	assert_pack("[{\"bn\":\"kitchen/t\",\"v\":1}]", DP_SENML_ANY, "kitchen@- t=1");
	assert_pack("[{\"n\":\"t\",\"v\":1}]", DP_SENML_ANY, "@- t=1");
	assert_pack(
		"[{\"bn\":\"dev\",\"n\":\"ice\",\"v\":1}]", DP_SENML_ANY, "@- device=1");
	assert_pack("[{\"bn\":\"a/\",\"n\":\"b/t\",\"v\":1}]", DP_SENML_ANY, "a/b@- t=1");
}

static void test_joined_names_of_many_records_stay_apart(void **state)
{
	(void)state;
	assert_pack("[{\"bn\":\"dev1:x-\",\"bt\":" TIME
		    ",\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2},"
		    "{\"n\":\"c\",\"v\":3},{\"n\":\"d\",\"v\":4},{\"n\":\"e\",\"v\":5},"
		    "{\"n\":\"f\",\"v\":6},{\"n\":\"g\",\"v\":7},{\"n\":\"h\",\"v\":8},"
		    "{\"bn\":\"dev2:y-\",\"n\":\"a\",\"v\":9}]",
		DP_SENML_NATIVE,
		"dev1@1732312345500000 x-a=1 x-b=2 x-c=3 x-d=4 x-e=5 x-f=6 x-g=7 x-h=8\n"
		"dev2@1732312345500000 y-a=9");
}

static void test_small_times_are_relative_to_now(void **state)
{
	(void)state;
	assert_pack("[{\"bn\":\"a/\",\"n\":\"t\",\"t\":0,\"v\":1}]", DP_SENML_ANY,
		"a@1800000000000000 t=1");
	assert_pack("[{\"bn\":\"a/\",\"n\":\"t\",\"t\":-1.5,\"v\":1}]", DP_SENML_ANY,
		"a@1799999998500000 t=1");
	assert_pack("[{\"bn\":\"a/\",\"n\":\"t\",\"t\":268435455,\"v\":1}]", DP_SENML_ANY,
		"a@2068435455000000 t=1");
	assert_pack("[{\"bn\":\"a/\",\"n\":\"t\",\"t\":268435456,\"v\":1}]", DP_SENML_ANY,
		"a@268435456000000 t=1");
}

static void test_the_contract_is_narrower_than_senml(void **state)
{
	(void)state;
	static const struct {
		const char *json, *native, *any;
	} cases[] = {
		{"[{\"bn\":\"a/\",\"bt\":268435455,\"n\":\"t\",\"v\":1}]",
			"!a relative time; the contract wants seconds since 1970",
			"a@2068435455000000 t=1"},
		{"[{\"bn\":\"a/\",\"n\":\"t\",\"t\":-1.5,\"v\":1}]",
			"!a relative time; the contract wants seconds since 1970",
			"a@1799999998500000 t=1"},
		{"[{\"bn\":\"urn:dev:a:\",\"bt\":" TIME ",\"n\":\"t\",\"v\":1}]",
			"!a sensor name with characters that the contract does not allow",
			"urn:dev:a@1732312345500000 t=1"},
		{"[{\"bn\":\"a/\",\"bt\":268435456,\"n\":\"t\",\"v\":1}]",
			"a@268435456000000 t=1", "a@268435456000000 t=1"},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_pack(cases[i].json, DP_SENML_NATIVE, cases[i].native);
		assert_pack(cases[i].json, DP_SENML_ANY, cases[i].any);
	}
}

static void test_a_reading_has_at_most_eight_values_each_once(void **state)
{
	(void)state;
	char json[512] = "[{\"bn\":\"a/\",\"n\":\"q0\",\"v\":0}";
	for (int i = 1; i < 8; i++)
		snprintf(json + strlen(json), sizeof(json) - strlen(json),
			",{\"n\":\"q%d\",\"v\":%d}", i, i);
	size_t len = strlen(json);
	memcpy(json + len, "]", 2);
	assert_pack(json, DP_SENML_NATIVE, "a@- q0=0 q1=1 q2=2 q3=3 q4=4 q5=5 q6=6 q7=7");
	static const char more[] =
		",{\"n\":\"q8\",\"v\":8},{\"bn\":\"b/\",\"n\":\"t\",\"v\":1}]";
	memcpy(json + len, more, sizeof(more));
	assert_pack(json, DP_SENML_NATIVE, "!a reading has more than 8 values\nb@- t=1");
	assert_pack("[{\"bn\":\"a/\",\"n\":\"t\",\"v\":0},{\"n\":\"t\",\"v\":1}]",
		DP_SENML_NATIVE, "!a reading has one quantity twice");
}

static void test_names_may_be_64_bytes_long(void **state)
{
	(void)state;
	char name[DP_READING_JSON], json[512], text[512];
	memset(name, 'n', sizeof(name));
	for (int len = 64; len <= 65; len++) {
		snprintf(json, sizeof(json), "[{\"bn\":\"%.*s/\",\"n\":\"t\",\"v\":1}]",
			len, name);
		describe(json, strlen(json), DP_SENML_NATIVE, text, sizeof(text));
		assert_int_equal(text[0] == '!', len > 64);
		snprintf(json, sizeof(json), "[{\"bn\":\"a/\",\"n\":\"%.*s\",\"v\":1}]",
			len, name);
		describe(json, strlen(json), DP_SENML_NATIVE, text, sizeof(text));
		assert_int_equal(text[0] == '!', len > 64);
		snprintf(json, sizeof(json), "[{\"n\":\"%.*s/%.*s\",\"v\":1}]", len, name,
			64, name);
		describe(json, strlen(json), DP_SENML_ANY, text, sizeof(text));
		assert_int_equal(text[0] == '!', len > 64);
	}
}

static void test_the_records_of_a_reading_can_be_had_as_text(void **state)
{
	(void)state;
	static const char json[] =
		"[{\"bn\":\"a/\",\"n\":\"t\",\"v\":1},{\"n\":\"h\",\"v\":2},"
		"{\"bn\":\"a/\",\"n\":7},{\"x\":[1,2]},3,"
		"{\"bn\":\"a/\",\"n\":\"t\",\"v\":3}]";
	static const char *const texts[] = {
		"[{\"bn\":\"a/\",\"n\":\"t\",\"v\":1},{\"n\":\"h\",\"v\":2}]",
		"[{\"bn\":\"a/\",\"n\":7},{\"x\":[1,2]},3]",
		"[{\"bn\":\"a/\",\"n\":\"t\",\"v\":3}]",
	};
	struct dp_senml *pack;
	struct dp_reading reading;
	const char *why;
	assert_int_equal(
		dp_senml_open(&pack, json, strlen(json), DP_SENML_NATIVE, NOW_US, &why), 0);
	for (size_t i = 0; i < LENGTH(texts); i++) {
		assert_int_equal(
			dp_senml_next(pack, &reading, &why), i == 1 ? -EBADMSG : 1);
		char *text = dp_senml_text(pack);
		assert_string_equal(text, texts[i]);
		free(text);
	}
	dp_senml_close(pack);
	dp_senml_close(NULL);
}

static void test_damaged_packs_never_break_the_decoder(void **state)
{
	(void)state;
	static const char json[] = "[{\"bn\":\"urn:a:\",\"bt\":" TIME
				   ",\"bv\":1,\"n\":\"x/t\",\"u\":\"Cel\",\"v\":1},"
				   "{\"n\":\"h\",\"t\":-1,\"vb\":true},{\"bn\":\"b/"
				   "\",\"n\":\"t\",\"v\":3,\"bver\":10}]";
	static char text[8192];
	uint64_t random = 20261122;
	print_message("seed %llu\n", (unsigned long long)random);
	for (int i = 0; i < 20000; i++) {
		char damaged[sizeof(json)];
		memcpy(damaged, json, sizeof(json));
		for (uint64_t n = 1 + random_below(&random, 3); n > 0; n--) {
			static const char with[] =
				"\"{}[],:-+0123456789eE. /bntuvs_\x80\xff";
			damaged[random_below(&random, sizeof(json) - 1)] =
				with[random_below(&random, sizeof(with))];
		}
		size_t len = i % 4 == 0 ? (size_t)random_below(&random, sizeof(json))
					: sizeof(json) - 1;
		describe(damaged, len, i % 2 == 0 ? DP_SENML_NATIVE : DP_SENML_ANY, text,
			sizeof(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_base_name_begins_a_native_reading),
		cmocka_unit_test(test_an_empty_pack_has_no_readings),
		cmocka_unit_test(test_what_is_no_pack_cannot_be_opened),
		cmocka_unit_test(
			test_a_reading_of_a_native_pack_is_of_one_sensor_and_one_time),
		cmocka_unit_test(test_a_bad_reading_does_not_spoil_its_neighbours),
		cmocka_unit_test(test_records_that_cannot_be_used_say_why),
		cmocka_unit_test(test_members_that_need_not_be_understood_are_ignored),
		cmocka_unit_test(test_base_fields_carry_forward),
		cmocka_unit_test(
			test_other_peoples_readings_are_cut_where_sensor_or_time_change),
		cmocka_unit_test(test_other_peoples_names_are_split_at_the_last_separator),
		cmocka_unit_test(test_joined_names_of_many_records_stay_apart),
		cmocka_unit_test(test_small_times_are_relative_to_now),
		cmocka_unit_test(test_the_contract_is_narrower_than_senml),
		cmocka_unit_test(test_a_reading_has_at_most_eight_values_each_once),
		cmocka_unit_test(test_names_may_be_64_bytes_long),
		cmocka_unit_test(test_the_records_of_a_reading_can_be_had_as_text),
		cmocka_unit_test(test_damaged_packs_never_break_the_decoder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
