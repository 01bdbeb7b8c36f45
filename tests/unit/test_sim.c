#include "driver_reader.h"

static struct reader reader; /* too large for the stack */

static void test_values_say_which_reading_they_are(void **state)
{
	(void)state;
	assert_int_equal(reader_open(&reader, "sim@0", 0), 0);
	const struct driver_outcome *outcome = reader_read(&reader);
	assert_null(outcome->failure);
	assert_int_equal(outcome->n, 2);
	assert_value(&outcome->values[0], "temperature", "Cel", 15.000001);
	assert_value(&outcome->values[1], "humidity", "%RH", 30);
	outcome = reader_read(&reader);
	assert_value(&outcome->values[0], "temperature", "Cel", 15.000002);
	for (int n = 3; n <= 1234; n++)
		outcome = reader_read(&reader);
	assert_value(&outcome->values[0], "temperature", "Cel", 15.001234);
	reader_close(&reader);
}

static void test_after_ten_million_readings_the_humidity_tells_them_apart(void **state)
{
	(void)state;
	const struct driver_outcome *outcome = NULL;
	assert_int_equal(reader_open(&reader, "sim@0", 7), 0);
	const struct driver *driver = reader.list.specs[0].driver;
	for (int n = 1; n < 10000000; n++)
		driver->read(reader.instance.state);
	assert_value(&reader.outcome.values[0], "temperature", "Cel", 24.999999);
	assert_value(&reader.outcome.values[1], "humidity", "%RH", 30.00007);
	outcome = reader_read(&reader);
	assert_value(&outcome->values[0], "temperature", "Cel", 15);
	assert_value(&outcome->values[1], "humidity", "%RH", 30.00107);
	reader_close(&reader);
}

static double humidity_of(const char *spec, uint32_t tag)
{
	assert_int_equal(reader_open(&reader, spec, tag), 0);
	double humidity = reader_read(&reader)->values[1].value;
	reader_close(&reader);
	return humidity;
}

static void test_the_run_is_mixed_from_the_seed_and_the_tag(void **state)
{
	(void)state;
	assert_true(humidity_of("sim@0", 12345) == 30.12345);
	assert_true(humidity_of("sim@0", 99999) == 30.99999);
	assert_true(humidity_of("sim@0", 100000) == 30);
	assert_true(humidity_of("sim@1", 0) == 30.35761);
	assert_true(humidity_of("sim@42", 5) == humidity_of("sim@42", 5));
	assert_true(humidity_of("sim@42", 5) != humidity_of("sim@43", 5));
	assert_true(humidity_of("sim@42", 5) != humidity_of("sim@42", 6));
	double largest = humidity_of("sim@18446744073709551615", (1u << 20) - 1);
	assert_true(largest >= 30 && largest < 31);
}

static void test_after_its_count_it_falls_silent_without_a_failure(void **state)
{
	(void)state;
	assert_int_equal(reader_open(&reader, "sim@1,count=3", 0), 0);
	for (int n = 1; n <= 3; n++)
		assert_int_equal(reader_read(&reader)->n, 2);
	for (int n = 4; n <= 6; n++) {
		assert_int_equal(reader_read(&reader)->n, 0);
		assert_null(reader.outcome.failure);
	}
	reader_close(&reader);
}

static void test_a_seed_and_a_count_are_whole_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *spec, *why;
	} cases[] = {
		{"sim@x", "sim@x: the seed is a whole number"},
		{"sim@-1", "sim@-1: the seed is a whole number"},
		{"sim@1.5", "sim@1.5: the seed is a whole number"},
		{"sim@18446744073709551616",
			"sim@18446744073709551616: the seed is a whole number"},
		{"sim@1,count=0", "count=0: a whole number above 0"},
		{"sim@1,count=", "count=: a whole number above 0"},
		{"sim@1,count=-3", "count=-3: a whole number above 0"},
		{"sim@1,count=ten", "count=ten: a whole number above 0"},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(reader_open(&reader, cases[i].spec, 0), -EINVAL);
		assert_string_equal(reader.why, cases[i].why);
		reader_close(&reader);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_say_which_reading_they_are),
		cmocka_unit_test(
			test_after_ten_million_readings_the_humidity_tells_them_apart),
		cmocka_unit_test(test_the_run_is_mixed_from_the_seed_and_the_tag),
		cmocka_unit_test(test_after_its_count_it_falls_silent_without_a_failure),
		cmocka_unit_test(test_a_seed_and_a_count_are_whole_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
