#include "ingest/condensed.h"
#include "ingest/scan.h"
#include "same_reading.h"
#include "support.h"

#define SEED UINT64_C(20261125)
#define BATCHES 20000
#define TEXT 16384

static struct scan scan; /* not small */
static struct condenser condenser = {.most = TEXT};

/* How many readings, or what scan_next() says of what is not of this form. */
static long count_in(const char *json, size_t len)
{
	bool fresh;
	long n = 0;
	int found;
	scan_open(&scan, json, len);
	while ((found = scan_next(&scan, &fresh)) == 1)
		n++;
	return found < 0 ? found : n;
}

static long count(const char *json)
{
	return count_in(json, strlen(json));
}

#define RECORD "{\"bn\":\"climate/\",\"bt\":1732312345.123456,\"n\":\"temperature\","

static void test_a_reading_is_read_with_its_names_time_and_values(void **state)
{
	(void)state;
	static const char json[] = "[" RECORD "\"u\":\"Cel\",\"v\":-25.6},"
				   "{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":52},"
				   "{\"n\":\"state\",\"v\":0}]";
	bool fresh = false;
	scan_open(&scan, json, strlen(json));
	assert_int_equal(scan_next(&scan, &fresh), 1);
	assert_true(fresh);
	const struct dp_reading *reading = &scan.shapes[scan.last].reading;
	assert_true(dp_slice_equal(reading->sensor, dp_slice("climate")));
	assert_true(reading->has_time);
	assert_int_equal(reading->ts_us, 1732312345123456);
	assert_int_equal(reading->n, 3);
	assert_true(dp_slice_equal(reading->values[0].quantity, dp_slice("temperature")));
	assert_true(dp_slice_equal(reading->values[1].unit, dp_slice("%RH")));
	assert_int_equal(reading->values[2].unit.len, 0);
	assert_true(reading->values[0].value == -25.6 && reading->values[1].value == 52 &&
		    reading->values[2].value == 0);
	assert_int_equal(scan_next(&scan, &fresh), 0);
}

static void test_what_is_not_written_as_we_write_it_is_left_to_others(void **state)
{
	(void)state;
	static const char *const others[] = {"", "[", "[]", "{}", "[" RECORD "\"v\":1}",
		"[" RECORD "\"v\":1}] ", "[" RECORD "\"v\":1},]", "[ " RECORD "\"v\":1}]",
		"[" RECORD "\"v\":1e}]", "[" RECORD "\"v\":1e23}]",
		"[" RECORD "\"v\":1e+-2}]", "[" RECORD "\"v\":e2}]",
		"[" RECORD "\"v\":01}]", "[" RECORD "\"v\":1.}]", "[" RECORD "\"v\":.5}]",
		"[" RECORD "\"v\":-0}]", "[" RECORD "\"v\":+1}]",
		"[" RECORD "\"v\":1234567890123456}]", "[" RECORD "\"v\":true}]",
		"[" RECORD "\"u\":\"\",\"v\":1}]", "[" RECORD "\"u\":\"\\u0041\",\"v\":1}]",
		"[" RECORD "\"v\":1},{\"n\":\"temperature\",\"v\":2}]",
		"[" RECORD "\"v\":1,\"t\":1}]",
		"[{\"bn\":\"a/\",\"bt\":1732312345,\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"a/\",\"bt\":0732312345.000000,\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"a/\",\"bt\":1.000000,\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"a/\",\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"a\",\"bt\":1732312345.000000,\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"\",\"bt\":1732312345.000000,\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"/\",\"bt\":1732312345.000000,\"n\":\"b\",\"v\":1}]",
		"[{\"bn\":\"a b/\",\"bt\":1732312345.000000,\"n\":\"b\",\"v\":1}]"};
	for (size_t i = 0; i < LENGTH(others); i++)
		assert_int_equal(count(others[i]), -EBADMSG);
}

/* Nothing behind the end is looked at: the sanitizer would say so. */
static void test_a_text_may_end_anywhere(void **state)
{
	(void)state;
	static const char json[] = "[" RECORD "\"u\":\"Cel\",\"v\":-25.6},"
				   "{\"n\":\"humidity\",\"v\":5}]";
	for (size_t len = 0; len < strlen(json); len++) {
		char *text = malloc(len + 1);
		assert_non_null(text);
		char *begin = text + 1; /* so that it ends where the memory does */
		memcpy(begin, json, len);
		assert_true(count_in(begin, len) < 0);
		free(text);
	}
}

/* There a double no longer holds seconds with six places: one reader for all of them. */
static void test_times_from_2106_on_are_left_to_others(void **state)
{
	(void)state;
	assert_int_equal(
		count("[{\"bn\":\"a/\",\"bt\":4294967295.999999,\"n\":\"b\",\"v\":1}]"), 1);
	assert_int_equal(
		count("[{\"bn\":\"a/\",\"bt\":4294967296.000000,\"n\":\"b\",\"v\":1}]"),
		-EBADMSG);
}

static void test_a_reading_has_at_most_8_values(void **state)
{
	(void)state;
	char json[TEXT];
	for (unsigned n = 1; n <= DP_READING_VALUES + 1; n++) {
		int len = snprintf(json, sizeof(json), "[" RECORD "\"v\":1}");
		for (unsigned i = 1; i < n; i++)
			len += snprintf(json + len, sizeof(json) - (size_t)len,
				",{\"n\":\"q%u\",\"v\":1}", i);
		snprintf(json + len, sizeof(json) - (size_t)len, "]");
		assert_int_equal(count(json), n <= DP_READING_VALUES ? 1 : -EBADMSG);
	}
}

static void test_a_name_is_fresh_when_it_was_not_seen_lately(void **state)
{
	(void)state;
	static const bool expected[] = {true, true, false, false, true, false};
	static const char *const sensors[] = {"a", "b", "a", "b", "ab", "a"};
	char json[TEXT] = "";
	size_t len = 0;
	bool fresh;
	for (size_t i = 0; i < LENGTH(sensors); i++)
		len += (size_t)snprintf(json + len, sizeof(json) - len,
			"%c{\"bn\":\"%s/\",\"bt\":1732312345.%06zu,\"n\":\"t\",\"v\":%zu}",
			i == 0 ? '[' : ',', sensors[i], i, i);
	snprintf(json + len, sizeof(json) - len, "]");
	scan_open(&scan, json, strlen(json));
	for (size_t i = 0; i < LENGTH(sensors); i++) {
		assert_int_equal(scan_next(&scan, &fresh), 1);
		assert_int_equal(fresh, expected[i]);
		const struct dp_reading *reading = &scan.shapes[scan.last].reading;
		assert_true(dp_slice_equal(reading->sensor, dp_slice(sensors[i])));
		assert_int_equal(reading->ts_us, 1732312345000000 + (int64_t)i);
		assert_true(reading->values[0].value == (double)i);
	}
}

/* ---- beside the reader of all SenML ---- */

/* What a sensor gives, or a counter; from a million on and below 0.0001 it is written with
 * an exponent. */
static double draw_value(uint64_t *random)
{
	static const double scales[] = {1, 10, 100, 1000, 1e9, 1e-3, 1e-7, 1e-12};
	double value = (double)random_below(random, 1999999) - 999999;
	return value / scales[random_below(random, LENGTH(scales))];
}

static size_t draw_batch(uint64_t *random, char *json)
{
	static const char *const names[] = {"a", "b1", "c-2", "d.d", "e_e", "f", "g", "h",
		"i", "j", "temperature", "humidity"};
	static const char *const units[] = {"", "Cel", "%RH", "m/s"};
	uint64_t readings = 1 + random_below(random, 12);
	size_t len = 0;
	for (uint64_t i = 0; i < readings; i++) {
		struct dp_reading reading = {.has_time = true,
			.sensor = dp_slice(names[random_below(random, LENGTH(names))]),
			.ts_us = 1700000000000000 +
				 (int64_t)random_below(random, 100000000000000),
			.n = 1 + (unsigned)random_below(random, 3)};
		uint64_t name = random_below(random, LENGTH(names));
		for (unsigned v = 0; v < reading.n; v++)
			reading.values[v] = (struct dp_value){
				dp_slice(names[(name + v) % LENGTH(names)]),
				dp_slice(units[random_below(random, LENGTH(units))]),
				draw_value(random)};
		json[len] = i == 0 ? '[' : ',';
		int n = dp_reading_encode(&reading, json + len + 1, TEXT - len - 1);
		assert_true(n > 0);
		len += (size_t)n + 1;
	}
	json[len++] = ']';
	return len;
}

/* Change, remove or double some bytes. */
static size_t damage(uint64_t *random, char *json, size_t len)
{
	static const char bytes[] = "0159.-+eE\"{}[],:/ntbuv \\\x7f\x01";
	for (uint64_t i = 1 + random_below(random, 2); i > 0; i--) {
		size_t at = random_below(random, len);
		uint64_t how = random_below(random, 3);
		if (how == 0) {
			json[at] = bytes[random_below(random, sizeof(bytes) - 1)];
		} else if (how == 1) {
			memmove(json + at, json + at + 1, len - at - 1);
			len--;
		} else {
			memmove(json + at + 1, json + at, len - at);
			len++;
		}
	}
	return len;
}

/* What is scanned is what a JSON parser finds. @return whether it was scanned */
static bool compare(const char *text, size_t len)
{
	/* Of its very size, so that a byte too far is found. */
	char *json = malloc(len);
	assert_non_null(json);
	memcpy(json, text, len);
	struct dp_senml *pack;
	struct dp_reading expected;
	const char *why;
	struct condensed condensed;
	bool fresh;
	long n = count_in(json, len);
	if (n <= 0) {
		free(json);
		return false;
	}
	/* Whatever a stranger sends, it never takes more room than its text. */
	assert_int_equal(condense(&condenser, json, len, (size_t)n), 0);
	assert_true(condenser.len <= len);
	condensed_open(&condensed, condenser.at);
	assert_int_equal(dp_senml_open(&pack, json, len, DP_SENML_NATIVE, 0, &why), 0);
	assert_int_equal(dp_senml_count(pack), n);
	scan_open(&scan, json, len);
	for (long i = 0; i < n; i++) {
		assert_int_equal(dp_senml_next(pack, &expected, &why), 1);
		assert_int_equal(scan_next(&scan, &fresh), 1);
		assert_same(&scan.shapes[scan.last].reading, &expected);
		assert_same(condensed_next(&condensed, &fresh), &expected);
	}
	assert_int_equal(dp_senml_next(pack, &expected, &why), 0);
	dp_senml_close(pack);
	free(json);
	return true;
}

static void test_all_that_we_write_is_scanned_as_a_parser_reads_it(void **state)
{
	(void)state;
	uint64_t random = SEED;
	char json[TEXT];
	for (int i = 0; i < BATCHES; i++) {
		size_t len = draw_batch(&random, json);
		assert_true(compare(json, len));
	}
}

static void test_damaged_batches_are_scanned_as_a_parser_reads_them_or_not(void **state)
{
	(void)state;
	uint64_t random = SEED;
	char json[TEXT];
	unsigned scanned = 0;
	for (int i = 0; i < BATCHES; i++) {
		size_t len = draw_batch(&random, json);
		scanned += compare(json, damage(&random, json, len));
	}
	assert_in_range(scanned, 100, BATCHES - 100);
}

static int finish(void **state)
{
	(void)state;
	condenser_finish(&condenser);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reading_is_read_with_its_names_time_and_values),
		cmocka_unit_test(test_what_is_not_written_as_we_write_it_is_left_to_others),
		cmocka_unit_test(test_a_text_may_end_anywhere),
		cmocka_unit_test(test_times_from_2106_on_are_left_to_others),
		cmocka_unit_test(test_a_reading_has_at_most_8_values),
		cmocka_unit_test(test_a_name_is_fresh_when_it_was_not_seen_lately),
		cmocka_unit_test(test_all_that_we_write_is_scanned_as_a_parser_reads_it),
		cmocka_unit_test(
			test_damaged_batches_are_scanned_as_a_parser_reads_them_or_not),
	};
	return cmocka_run_group_tests(tests, NULL, finish);
}
