#include "reading.h"
#include "support.h"
#include "topic.h"

#include <math.h>

static struct dp_reading dht_reading(void)
{
	return (struct dp_reading){
		.sensor = dp_slice("climate"),
		.has_time = true,
		.ts_us = INT64_C(1732312345123456),
		.n = 2,
		.values = {{dp_slice("temperature"), dp_slice("Cel"), 25.6},
			{dp_slice("humidity"), dp_slice("%RH"), 52.6}},
	};
}

static void assert_slice(struct dp_slice slice, const char *text)
{
	assert_int_equal(slice.len, strlen(text));
	if (slice.len > 0)
		assert_memory_equal(slice.at, text, slice.len);
}

static void test_a_slice_is_equal_by_its_bytes(void **state)
{
	(void)state;
	const struct dp_slice nothing = {NULL, 0};
	assert_slice(dp_slice("abc"), "abc");
	assert_true(dp_slice_equal(dp_slice("abc"), dp_slice("abc")));
	assert_false(dp_slice_equal(dp_slice("abc"), dp_slice("abd")));
	assert_false(dp_slice_equal(dp_slice("abc"), dp_slice("ab")));
	assert_true(dp_slice_equal(nothing, dp_slice("")));
	assert_true(dp_slice_equal(nothing, nothing));
	assert_false(dp_slice_equal(nothing, dp_slice("a")));
}

static void test_a_reading_is_written_as_the_contract_shows_it(void **state)
{
	(void)state;
	static const char expected[] =
		"{\"bn\":\"climate/\",\"bt\":1732312345.123456,\"n\":\"temperature\","
		"\"u\":\"Cel\",\"v\":25.6},{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":52.6}";
	struct dp_reading reading = dht_reading();
	char json[DP_READING_JSON];
	assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), strlen(expected));
	assert_string_equal(json, expected);
}

static void test_a_reading_without_a_time_or_a_unit_leaves_them_out(void **state)
{
	(void)state;
	struct dp_reading reading = dht_reading();
	char json[DP_READING_JSON];
	reading.has_time = false;
	reading.n = 1;
	reading.values[0].unit = (struct dp_slice){NULL, 0};
	int n = dp_reading_encode(&reading, json, sizeof(json));
	assert_string_equal(json, "{\"bn\":\"climate/\",\"n\":\"temperature\",\"v\":25.6}");
	assert_int_equal(n, strlen(json));
}

static void test_a_time_is_added_as_if_it_had_been_there(void **state)
{
	(void)state;
	struct dp_reading reading = dht_reading();
	char with[DP_READING_JSON], without[DP_READING_JSON], dated[DP_READING_JSON];
	int64_t ts_us = 0;
	int len = dp_reading_encode(&reading, with, sizeof(with));
	reading.has_time = false;
	int bare = dp_reading_encode(&reading, without, sizeof(without));
	assert_int_equal(dp_reading_time(without, (size_t)bare, &ts_us), -ENOENT);
	assert_int_equal(
		dp_reading_date(without, (size_t)bare, reading.ts_us, dated, sizeof(dated)),
		len);
	assert_memory_equal(dated, with, (size_t)len);
	assert_int_equal(dp_reading_time(dated, (size_t)len, &ts_us), 0);
	assert_int_equal(ts_us, reading.ts_us);
	/* Never more than there is room for, never a time that would be relative. */
	for (size_t size = 0; size < (size_t)len; size++)
		assert_int_equal(
			dp_reading_date(without, (size_t)bare, reading.ts_us, dated, size),
			-ENOSPC);
	assert_int_equal(
		dp_reading_date(without, (size_t)bare, 1000000, dated, sizeof(dated)),
		-EINVAL);
	assert_int_equal(
		dp_reading_date("{}", 2, reading.ts_us, dated, sizeof(dated)), -EINVAL);
	assert_int_equal(dp_reading_time("{}", 2, &ts_us), -ENOENT);
	static const char huge[] =
		"{\"bn\":\"s/\",\"bt\":99999999999999999999.000001,\"n\":\"t\"}";
	assert_int_equal(dp_reading_time(huge, sizeof(huge) - 1, &ts_us), -ENOENT);
}

static void test_microseconds_have_six_digits(void **state)
{
	(void)state;
	struct dp_reading reading = dht_reading();
	char json[DP_READING_JSON];
	reading.ts_us = INT64_C(1732312345000007);
	assert_true(dp_reading_encode(&reading, json, sizeof(json)) > 0);
	assert_non_null(strstr(json, "\"bt\":1732312345.000007,"));
}

static void test_a_time_that_would_be_relative_cannot_be_sent(void **state)
{
	(void)state;
	struct dp_reading reading = dht_reading();
	char json[DP_READING_JSON];
	reading.ts_us = INT64_C(268435456000000);
	assert_true(dp_reading_encode(&reading, json, sizeof(json)) > 0);
	reading.ts_us--;
	assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
	reading.ts_us = -1;
	assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
	reading.has_time = false;
	assert_true(dp_reading_encode(&reading, json, sizeof(json)) > 0);
}

static void test_names_and_values_that_the_contract_forbids_are_refused(void **state)
{
	(void)state;
	char json[DP_READING_JSON], overlong[DP_NAME_MAX + 2];
	static const char *const names[] = {
		"", "-a", "a b", "a/b", "a\"b", "a\\b", "\xc3\xa4"};
	static const char *const units[] = {
		"\"", "\\", "a b", "a\n", "\xc2\xb0", "12345678901234567"};
	struct dp_reading reading;
	memset(overlong, 'n', sizeof(overlong) - 1);
	overlong[sizeof(overlong) - 1] = '\0';
	for (size_t i = 0; i <= LENGTH(names); i++) {
		const char *name = i < LENGTH(names) ? names[i] : overlong;
		reading = dht_reading();
		reading.sensor = dp_slice(name);
		assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
		reading = dht_reading();
		reading.values[1].quantity = dp_slice(name);
		assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
	}
	for (size_t i = 0; i < LENGTH(units); i++) {
		reading = dht_reading();
		reading.values[1].unit = dp_slice(units[i]);
		assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
	}
	reading = dht_reading();
	reading.values[0].value = NAN;
	assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
	reading.values[0].value = -INFINITY;
	assert_int_equal(dp_reading_encode(&reading, json, sizeof(json)), -EINVAL);
}

/* Every name and unit as long as it may be, every value as long as it gets. */
static struct dp_reading largest_reading(char names[DP_READING_VALUES][DP_NAME_MAX])
{
	struct dp_reading reading = {.has_time = true,
		.ts_us = INT64_C(9007199253999999),
		.n = DP_READING_VALUES};
	for (unsigned i = 0; i < DP_READING_VALUES; i++) {
		memset(names[i], 'q', DP_NAME_MAX);
		names[i][0] = (char)('a' + i);
		reading.values[i] = (struct dp_value){{names[i], DP_NAME_MAX},
			dp_slice("1234567890123456"), -1.0 / 3e200};
	}
	reading.sensor = reading.values[0].quantity;
	return reading;
}

static void test_the_largest_reading_fits_its_buffer(void **state)
{
	(void)state;
	char names[DP_READING_VALUES][DP_NAME_MAX], json[DP_READING_JSON];
	struct dp_reading reading = largest_reading(names);
	int n = dp_reading_encode(&reading, json, sizeof(json));
	assert_in_range(n, 1, DP_READING_JSON - 1);
	assert_int_equal(strlen(json), n);
}

static void test_a_buffer_that_is_too_small_is_never_overrun(void **state)
{
	(void)state;
	char whole[DP_READING_JSON];
	struct dp_reading reading = dht_reading();
	int n = dp_reading_encode(&reading, whole, sizeof(whole));
	for (size_t size = 1; size <= (size_t)n + 1; size++) {
		/* On the heap, where a byte too many is noticed. */
		char *json = malloc(size);
		assert_non_null(json);
		int result = dp_reading_encode(&reading, json, size);
		if (size <= (size_t)n) {
			assert_int_equal(result, -ENOSPC);
		} else {
			assert_int_equal(result, n);
			assert_string_equal(json, whole);
		}
		free(json);
	}
}

/* Encode, wrap in an array, decode. */
static void read_back(const struct dp_reading *in, enum dp_senml_mode mode)
{
	char json[DP_READING_JSON + 2] = "[";
	struct dp_senml *pack;
	struct dp_reading out;
	const char *why = NULL;
	int n = dp_reading_encode(in, json + 1, DP_READING_JSON);
	assert_true(n > 0);
	json[n + 1] = ']';
	assert_int_equal(dp_senml_open(&pack, json, (size_t)n + 2, mode, 0, &why), 0);
	assert_int_equal(dp_senml_count(pack), 1);
	assert_int_equal(dp_senml_next(pack, &out, &why), 1);
	assert_true(dp_slice_equal(out.sensor, in->sensor));
	assert_int_equal(out.has_time, in->has_time);
	if (in->has_time)
		assert_true(out.ts_us == in->ts_us);
	assert_int_equal(out.n, in->n);
	for (unsigned i = 0; i < in->n; i++) {
		assert_true(dp_slice_equal(out.values[i].quantity, in->values[i].quantity));
		assert_true(dp_slice_equal(out.values[i].unit, in->values[i].unit));
		assert_true(out.values[i].value == in->values[i].value);
	}
	assert_int_equal(dp_senml_next(pack, &out, &why), 0);
	dp_senml_close(pack);
}

static void test_readings_are_read_back_exactly(void **state)
{
	(void)state;
	char names[DP_READING_VALUES][DP_NAME_MAX];
	struct dp_reading reading = largest_reading(names);
	uint64_t random = 20261122;
	print_message("seed %llu\n", (unsigned long long)random);
	reading.ts_us = INT64_C(4294967295999999); /* 2106, microseconds and all */
	read_back(&reading, DP_SENML_NATIVE);
	reading = dht_reading();
	reading.has_time = false;
	read_back(&reading, DP_SENML_NATIVE);
	for (int i = 0; i < 5000; i++) {
		uint64_t bits = next_random(&random);
		reading = dht_reading();
		/* From 2^28 s, the earliest that is not relative, to 2^32 s. */
		reading.ts_us = INT64_C(268435456000000) +
				(int64_t)random_below(&random, UINT64_C(4026531840000000));
		reading.values[0].value =
			(double)(int64_t)random_below(&random, 200000) / 1e3;
		memcpy(&reading.values[1].value, &bits, sizeof(bits));
		if (!dp_value_valid(reading.values[1].value))
			continue;
		read_back(&reading, i % 2 == 0 ? DP_SENML_NATIVE : DP_SENML_ANY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slice_is_equal_by_its_bytes),
		cmocka_unit_test(test_a_reading_is_written_as_the_contract_shows_it),
		cmocka_unit_test(test_a_reading_without_a_time_or_a_unit_leaves_them_out),
		cmocka_unit_test(test_a_time_is_added_as_if_it_had_been_there),
		cmocka_unit_test(test_microseconds_have_six_digits),
		cmocka_unit_test(test_a_time_that_would_be_relative_cannot_be_sent),
		cmocka_unit_test(
			test_names_and_values_that_the_contract_forbids_are_refused),
		cmocka_unit_test(test_the_largest_reading_fits_its_buffer),
		cmocka_unit_test(test_a_buffer_that_is_too_small_is_never_overrun),
		cmocka_unit_test(test_readings_are_read_back_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
