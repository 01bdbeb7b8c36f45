#include "ingest/plain.h"
#include "support.h"

#define NOW_US INT64_C(1800000000000000)

/* `quantity=value(unit) ...`, with `@ts ` before it unless that is now, or `!reason`. */
static const char *describe(const char *payload, size_t len)
{
	static char text[2048];
	struct dp_reading reading;
	char names[PLAIN_NAMES];
	const char *why = NULL;
	size_t used = 0;
	/* A copy of exactly that size: what is behind it may not be read. */
	char *copy = malloc(len + (len == 0));
	assert_non_null(copy);
	memcpy(copy, payload, len);
	int err = plain_decode(copy, len, NOW_US, &reading, names, &why);
	free(copy);
	if (err != 0) {
		assert_int_equal(err, -EBADMSG);
		snprintf(text, sizeof(text), "!%s", why);
		return text;
	}
	assert_int_equal(reading.sensor.len, 0);
	assert_true(reading.has_time);
	text[0] = '\0';
	if (reading.ts_us != NOW_US)
		used = (size_t)snprintf(
			text, sizeof(text), "@%lld ", (long long)reading.ts_us);
	for (unsigned i = 0; i < reading.n; i++) {
		const struct dp_value *v = &reading.values[i];
		used += (size_t)snprintf(text + used, sizeof(text) - used,
			"%s%.*s=%g(%.*s)", i > 0 ? " " : "", (int)v->quantity.len,
			v->quantity.at, v->value, (int)v->unit.len, v->unit.at);
	}
	return text;
}

static void assert_decoded(const char *payload, const char *expected)
{
	assert_string_equal(describe(payload, strlen(payload)), expected);
}

static void test_the_papers_text_is_understood(void **state)
{
	(void)state;
	static const char both[] = "temperature=24.8(Cel) humidity=60.6(%RH)";
	assert_decoded("Temp=24.8\xc2\xb0"
		       "C, Humidity=60.6%",
		both);
	assert_decoded("Temp=24.8, Humidity=60.6", both);
	assert_decoded("temp=24.8C,humidity=60.6%RH", both);
	assert_decoded("  TEMPERATURE = 24.8 Cel ,\tHumidity = 60.6 % \r\n", both);
	assert_decoded("Temp=-3", "temperature=-3(Cel)");
	assert_decoded("Humidity=1e1", "humidity=10(%RH)");
}

static void test_other_names_and_units_are_understood_in_text(void **state)
{
	(void)state;
	assert_decoded("pressure=1013.25hPa, light=40lx, battery=3.7V, n=1",
		"pressure=1013.25(hPa) light=40(lx) battery=3.7(V) n=1()");
}

static void test_malformed_text_is_refused_with_the_reason(void **state)
{
	(void)state;
	static const char form[] = "!neither JSON nor a short text of name=value";
	static const char pair[] = "!neither JSON nor name=value, comma-separated";
	static const char value[] = "!a value is no number, or its unit is not known";
	assert_decoded("", form);
	assert_decoded("hello", pair);
	assert_decoded("   ", pair);
	assert_decoded("Temp=24.8,", pair);
	assert_decoded("Temp=24.8,,Humidity=60", pair);
	assert_decoded("=24.8", pair);
	assert_decoded("inner temp=24.8", pair);
	assert_decoded("Temp=", value);
	assert_decoded("Temp=warm", value);
	assert_decoded("Temp=24.8F", value);
	assert_decoded("Temp=24.8.1", value);
	assert_decoded("Temp=+24.8", value);
	assert_decoded("Temp=1e999", value);
	assert_decoded("Temp=nan", value);
	assert_decoded("Temp=1, temperature=2", "!a quantity comes twice");
	assert_string_equal(describe("Temp=1\0", 7), form);
	assert_string_equal(describe("Temp=1\0,Humidity=2", 18), form);
}

static void test_text_is_short(void **state)
{
	(void)state;
	char text[512];
	memset(text, ' ', sizeof(text));
	memcpy(text, "Temp=24.8", 9);
	assert_string_equal(describe(text, 511), "temperature=24.8(Cel)");
	assert_string_equal(
		describe(text, 512), "!neither JSON nor a short text of name=value");
	/* A number longer than any number is. */
	memset(text, '1', sizeof(text));
	memcpy(text, "Temp=", 5);
	assert_int_equal(describe(text, 200)[0], '!');
}

static void test_a_flat_object_of_numbers_is_understood(void **state)
{
	(void)state;
	assert_decoded("{\"temperature\":24.8,\"humidity\":60.6}",
		"temperature=24.8(Cel) humidity=60.6(%RH)");
	assert_decoded(" \r\n\t{\"co2\":400,\"pm2.5\":-1e-3}", "co2=400() pm2.5=-0.001()");
}

static void test_members_that_are_no_numbers_are_ignored(void **state)
{
	(void)state;
	assert_decoded("{\"device\":\"esp32\",\"ok\":true,\"gps\":{\"lat\":1},\"list\":[1],"
		       "\"none\":null,\"temperature\":1}",
		"temperature=1(Cel)");
	assert_decoded("{\"device name\":\"esp\",\"v\":1}", "v=1()");
	assert_decoded("{}", "!the object has no number");
	assert_decoded("{\"device\":\"esp32\"}", "!the object has no number");
	assert_decoded("{\"time\":1732312345}", "!the object has no number");
}

static void test_malformed_objects_are_refused_with_the_reason(void **state)
{
	(void)state;
	static const char json[] = "!not valid JSON";
	assert_decoded("{", json);
	assert_decoded("{\"a\":1}}", json);
	assert_decoded("{\"a\":1e999}", json);
	assert_decoded("{\"a\":01}", json);
	assert_decoded("{'a':1}", json);
	assert_decoded("{\"a\":\"\xff\",\"b\":1}", json);
	assert_decoded("{\"a b\":1}", "!a key has characters that are not allowed");
	assert_decoded("{\"\":1}", "!a key has characters that are not allowed");
	assert_decoded("{\"a\\u0000\":1}", "!a key has characters that are not allowed");
	assert_decoded("{\"a\":1,\"a\":2}", "!a quantity comes twice");
	assert_decoded("{\"a\":1.7e308}", "!a value is beyond 1e100");
	assert_decoded("{\"a\":-1.01e100}", "!a value is beyond 1e100");
	/* A deep document does not exhaust the stack. */
	static char deep[100000];
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"a\":", 5);
	assert_string_equal(describe(deep, sizeof(deep)), json);
}

static void test_an_object_has_at_most_eight_numbers(void **state)
{
	(void)state;
	char object[512] = "{\"q0\":0";
	for (int i = 1; i < 8; i++)
		snprintf(object + strlen(object), sizeof(object) - strlen(object),
			",\"q%d\":%d", i, i);
	size_t len = strlen(object);
	memcpy(object + len, "}", 2);
	assert_decoded(object, "q0=0() q1=1() q2=2() q3=3() q4=4() q5=5() q6=6() q7=7()");
	memcpy(object + len, ",\"q8\":8}", 9);
	assert_decoded(object, "!more than 8 values");
}

static void test_the_longest_names_fit(void **state)
{
	(void)state;
	char object[1024] = "{";
	for (int i = 0; i < DP_READING_VALUES; i++)
		snprintf(object + strlen(object), sizeof(object) - strlen(object),
			"%s\"%c%063d\":1", i > 0 ? "," : "", 'a' + i, 0);
	memcpy(object + strlen(object), "}", 2);
	assert_int_not_equal(describe(object, strlen(object))[0], '!');
	snprintf(object, sizeof(object), "{\"%065d\":1}", 0);
	assert_decoded(object, "!a key has characters that are not allowed");
}

static void test_a_time_may_be_seconds_milliseconds_or_iso_8601(void **state)
{
	(void)state;
	static const struct {
		const char *time, *decoded;
	} cases[] = {
		{"1732312345", "@1732312345000000 a=1()"},
		{"1732312345.25", "@1732312345250000 a=1()"},
		{"1732312345250", "@1732312345250000 a=1()"},
		{"268435456", "@268435456000000 a=1()"},
		{"\"2024-11-22T21:52:25Z\"", "@1732312345000000 a=1()"},
		{"\"2024-11-22T21:52:25\"", "@1732312345000000 a=1()"},
		{"\"2024-11-22T21:52:25+00:00\"", "@1732312345000000 a=1()"},
		{"\"2024-11-22 21:52:25.125Z\"", "@1732312345125000 a=1()"},
		{"\"2024-11-22T21:52:25.123456Z\"", "@1732312345123456 a=1()"},
		{"\"2024-02-29T00:00:00Z\"", "@1709164800000000 a=1()"},
		{"\"2000-03-01T00:00:00Z\"", "@951868800000000 a=1()"},
		{"\"2100-03-01T00:00:00Z\"", "@4107542400000000 a=1()"},
		{"\"1999-12-31T23:59:59Z\"", "@946684799000000 a=1()"},
	};
	char object[128];
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(object, sizeof(object), "{\"time\":%s,\"a\":1}", cases[i].time);
		assert_decoded(object, cases[i].decoded);
		snprintf(object, sizeof(object), "{\"a\":1,\"timestamp\":%s}",
			cases[i].time);
		assert_decoded(object, cases[i].decoded);
	}
}

static void test_a_time_that_is_no_date_is_refused(void **state)
{
	(void)state;
	static const char *const times[] = {"0", "-1", "268435455", "1e300", "12.5e-1",
		"null", "true", "[]", "\"\"", "\"now\"", "\"2024-11-22\"",
		"\"2024-11-22T21:52\"", "\"2024-13-01T00:00:00Z\"",
		"\"2024-00-01T00:00:00Z\"", "\"2024-01-32T00:00:00Z\"",
		"\"2024-01-00T00:00:00Z\"", "\"2024-01-01T24:00:00Z\"",
		"\"2024-01-01T00:60:00Z\"", "\"2024-01-01T00:00:62Z\"",
		"\"2024-01-01T00:00:nan\"", "\"2024-01-01x00:00:00Z\"",
		"\"2024-01-01T00:00:00+01:00\"", "\"2024-01-01T00:00:00Zulu\"",
		"\"1970-01-01T00:00:00Z\""};
	char object[128];
	for (size_t i = 0; i < LENGTH(times); i++) {
		snprintf(object, sizeof(object), "{\"a\":1,\"time\":%s}", times[i]);
		assert_decoded(object,
			"!the time is no date in seconds, milliseconds or ISO 8601 UTC");
	}
}

static void test_a_time_that_only_looks_like_iso_8601_is_refused(void **state)
{
	(void)state;
	static const char *const times[] = {"2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z",
		"2024-04-31T00:00:00Z", "2024-01-01T00:00:0x1Z", "2024-01-01T00:00:1e1Z",
		"+202-01-01T00:00:00Z", "2024-01-01T00:00:00Z\\u0000",
		"2024-01-01T00:00:00Z\\u0000and more"};
	char object[128];
	for (size_t i = 0; i < LENGTH(times); i++) {
		snprintf(object, sizeof(object), "{\"a\":1,\"time\":\"%s\"}", times[i]);
		assert_decoded(object,
			"!the time is no date in seconds, milliseconds or ISO 8601 UTC");
	}
}

static void test_senml_is_told_by_its_bracket(void **state)
{
	(void)state;
	assert_true(plain_is_senml("[", 1));
	assert_true(plain_is_senml(" \t\r\n[]", 6));
	assert_false(plain_is_senml("", 0));
	assert_false(plain_is_senml("[", 0));
	assert_false(plain_is_senml("  ", 2));
	assert_false(plain_is_senml("{\"a\":[]}", 8));
	assert_false(plain_is_senml("\0[", 2));
	assert_false(plain_is_senml("Temp=1", 6));
}

static void test_damaged_messages_never_break_the_decoder(void **state)
{
	(void)state;
	static const char *const payloads[] = {"Temp=24.8\xc2\xb0"
					       "C, Humidity=60.6%",
		"{\"temperature\":24.8,\"time\":\"2024-11-22T21:52:25.5Z\",\"humidity\":60."
		"6}"};
	static const char with[] = "={}[],:\"-+.0123456789eE% TZ\x80\xff";
	uint64_t random = 20261122;
	print_message("seed %llu\n", (unsigned long long)random);
	for (int i = 0; i < 20000; i++) {
		char damaged[128];
		const char *payload = payloads[i % 2];
		size_t len = strlen(payload);
		memcpy(damaged, payload, len);
		for (uint64_t n = 1 + random_below(&random, 3); n > 0; n--)
			damaged[random_below(&random, len)] =
				with[random_below(&random, sizeof(with))];
		describe(damaged, i % 4 == 0 ? (size_t)random_below(&random, len) : len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_papers_text_is_understood),
		cmocka_unit_test(test_other_names_and_units_are_understood_in_text),
		cmocka_unit_test(test_malformed_text_is_refused_with_the_reason),
		cmocka_unit_test(test_text_is_short),
		cmocka_unit_test(test_a_flat_object_of_numbers_is_understood),
		cmocka_unit_test(test_members_that_are_no_numbers_are_ignored),
		cmocka_unit_test(test_malformed_objects_are_refused_with_the_reason),
		cmocka_unit_test(test_an_object_has_at_most_eight_numbers),
		cmocka_unit_test(test_the_longest_names_fit),
		cmocka_unit_test(test_a_time_may_be_seconds_milliseconds_or_iso_8601),
		cmocka_unit_test(test_a_time_that_is_no_date_is_refused),
		cmocka_unit_test(test_a_time_that_only_looks_like_iso_8601_is_refused),
		cmocka_unit_test(test_senml_is_told_by_its_bracket),
		cmocka_unit_test(test_damaged_messages_never_break_the_decoder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
