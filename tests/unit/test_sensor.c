#include "sampler/sensor.h"
#include "support.h"

static struct sensor_list list; /* too large for the stack */

/* @return "" or why it is refused */
static const char *parse(const char *text)
{
	static char why[256];
	why[0] = '\0';
	int err = sensor_list_parse(&list, text, why, sizeof(why));
	assert_true(err == 0 || err == -EINVAL);
	assert_int_equal(err != 0, why[0] != '\0');
	return why;
}

static void assert_refused(const char *text, const char *expected)
{
	assert_string_equal(parse(text), expected);
	sensor_list_finish(&list);
}

static void test_a_sensor_has_a_name_a_driver_and_an_argument(void **state)
{
	(void)state;
	assert_string_equal(parse("climate=sim@42"), "");
	assert_int_equal(list.n, 1);
	assert_string_equal(list.specs[0].spec->name, "climate");
	assert_string_equal(list.specs[0].driver->name, "sim");
	assert_string_equal(list.specs[0].spec->argument, "42");
	assert_int_equal(list.specs[0].spec->n_options, 0);
	assert_null(spec_option(list.specs[0].spec, "count"));
	sensor_list_finish(&list);
	assert_int_equal(list.n, 0);
}

static void test_options_belong_to_the_sensor_before_them(void **state)
{
	(void)state;
	assert_string_equal(
		parse("a=sim@1,count=5,b=replay@/captures/x=1.csv,model=dht11,c=sim@2"),
		"");
	assert_int_equal(list.n, 3);
	assert_string_equal(spec_option(list.specs[0].spec, "count"), "5");
	assert_null(spec_option(list.specs[0].spec, "model"));
	assert_string_equal(list.specs[1].driver->name, "replay");
	assert_string_equal(list.specs[1].spec->argument, "/captures/x=1.csv");
	assert_string_equal(spec_option(list.specs[1].spec, "model"), "dht11");
	assert_int_equal(list.specs[2].spec->n_options, 0);
	sensor_list_finish(&list);
}

static void test_an_argument_may_hold_an_at_sign_and_an_option_nothing(void **state)
{
	(void)state;
	assert_string_equal(parse("a=replay@/home/me@here/x.csv,b=sim@1,count="), "");
	assert_string_equal(list.specs[0].spec->argument, "/home/me@here/x.csv");
	assert_string_equal(spec_option(list.specs[1].spec, "count"), "");
	sensor_list_finish(&list);
}

static void test_malformed_specifications_are_refused_with_the_reason(void **state)
{
	(void)state;
	assert_refused(
		"climate", "climate is neither name=driver@argument nor option=value");
	assert_refused("climate=sim",
		"climate=sim is neither name=driver@argument nor option=value");
	assert_refused("climate=sim@", "climate=sim@ is not name=driver@argument");
	assert_refused("climate@sim=4", "climate@sim=4 is not name=driver@argument");
	assert_refused("sim@4", "sim@4 is not name=driver@argument");
	assert_refused("a=sim@1,", " is neither name=driver@argument nor option=value");
	assert_refused(",a=sim@1", " is neither name=driver@argument nor option=value");
	assert_refused(
		"a=sim@1,,b=sim@2", " is neither name=driver@argument nor option=value");
	assert_refused(
		"a=sim@1,count", "count is neither name=driver@argument nor option=value");
	assert_refused("a=sim@1,a=sim@2", "the name a comes twice");
}

static void test_there_may_be_none(void **state)
{
	(void)state;
	assert_string_equal(parse(""), "");
	assert_int_equal(list.n, 0);
	sensor_list_finish(&list);
}

static void test_names_follow_the_contract(void **state)
{
	(void)state;
	static const char *const bad[] = {"=sim@1", "a b=sim@1", "-a=sim@1", "a/b=sim@1",
		"\xc3\xa4=sim@1",
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=sim@1"};
	for (size_t i = 0; i < LENGTH(bad); i++) {
		assert_non_null(
			strstr(parse(bad[i]), " is no name: 1 to 64 of A-Z a-z 0-9"));
		sensor_list_finish(&list);
	}
}

static void test_an_unknown_driver_or_option_is_named_with_those_there_are(void **state)
{
	(void)state;
	assert_refused("a=dth22@7", "there is no driver dth22; did you mean dht22?");
	const char *why = parse("a=bme280@7");
	assert_ptr_equal(strstr(why, "there is no driver bme280, there are:"), why);
	for (size_t i = 0; drivers[i] != NULL; i++)
		assert_non_null(strstr(why, drivers[i]->name));
	sensor_list_finish(&list);
	assert_refused("a=sim@1,cuont=5", "driver sim has no option cuont, it has: count");
	assert_refused(
		"a=replay@x,count=5", "driver replay has no option count, it has: model");
}

static void test_a_long_specification_never_overruns_the_reason(void **state)
{
	(void)state;
	char text[2000];
	memset(text, 'x', sizeof(text));
	static const char *const beginnings[] = {"a=", "", "a=sim@1,", "a=sim@1,b="};
	for (size_t i = 0; i < LENGTH(beginnings); i++) {
		for (size_t size = 1; size < 120; size++) {
			/* On the heap, where a byte too many is noticed. */
			char *why = malloc(size);
			assert_non_null(why);
			memset(text, 'x', sizeof(text));
			memcpy(text, beginnings[i], strlen(beginnings[i]));
			memcpy(text + sizeof(text) - 3, i % 2 == 0 ? "=1" : "@1", 3);
			assert_int_equal(
				sensor_list_parse(&list, text, why, size), -EINVAL);
			assert_true(strlen(why) < size);
			sensor_list_finish(&list);
			free(why);
		}
	}
}

static void test_there_are_at_most_32_sensors(void **state)
{
	(void)state;
	char text[1024] = "";
	for (int i = 0; i < SENSORS_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%ss%d=sim@%d",
			i > 0 ? "," : "", i, i);
	assert_string_equal(parse(text), "");
	assert_int_equal(list.n, SENSORS_MAX);
	assert_string_equal(list.specs[31].spec->name, "s31");
	sensor_list_finish(&list);
	memcpy(text + strlen(text), ",one-more=sim@1", sizeof(",one-more=sim@1"));
	assert_refused(text, "at most 32 of them");
}

static void test_a_sensor_has_at_most_24_options(void **state)
{
	(void)state;
	char text[512] = "a=sim@1";
	for (int i = 0; i < SPEC_OPTIONS_MAX; i++)
		memcpy(text + strlen(text), ",count=1", sizeof(",count=1"));
	assert_string_equal(parse(text), "");
	assert_int_equal(list.specs[0].spec->n_options, SPEC_OPTIONS_MAX);
	sensor_list_finish(&list);
	memcpy(text + strlen(text), ",count=1", sizeof(",count=1"));
	assert_string_not_equal(parse(text), "");
	sensor_list_finish(&list);
}

static void test_every_driver_is_whole_and_has_a_name_of_its_own(void **state)
{
	(void)state;
	assert_non_null(drivers[0]);
	for (size_t i = 0; drivers[i] != NULL; i++) {
		assert_non_null(drivers[i]->argument);
		assert_non_null(drivers[i]->options);
		assert_non_null(drivers[i]->open);
		assert_non_null(drivers[i]->read);
		assert_non_null(drivers[i]->close);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(drivers[i]->name, drivers[j]->name);
	}
}

static void test_a_period_stands_behind_the_argument(void **state)
{
	(void)state;
	assert_string_equal(parse("a=sim@1/2s,b=sim@2/250ms,count=3,c=sim@3"), "");
	assert_string_equal(list.specs[0].spec->argument, "1");
	assert_int_equal(list.specs[0].period_ms, 2000);
	assert_int_equal(list.specs[1].period_ms, 250);
	assert_int_equal(list.specs[2].period_ms, 0);
	sensor_list_finish(&list);
	/* What is no duration belongs to the argument. */
	assert_string_equal(parse("a=replay@/captures/x.csv,b=replay@/x.csv/1m"), "");
	assert_string_equal(list.specs[0].spec->argument, "/captures/x.csv");
	assert_string_equal(list.specs[1].spec->argument, "/x.csv");
	assert_int_equal(list.specs[1].period_ms, 60000);
	sensor_list_finish(&list);
	assert_refused("a=sim@1/2d", "1/2d: a period of at most a day");
}

static void test_values_are_corrected(void **state)
{
	(void)state;
	assert_string_equal(parse("a=sim@1,offset:temperature=-0.5,scale:humidity=1.1,"
				  "offset:humidity=2"),
		"");
	struct driver_outcome outcome = {.n = 3,
		.values = {{dp_slice("temperature"), dp_slice("Cel"), 21.3},
			{dp_slice("humidity"), dp_slice("%RH"), 50},
			{dp_slice("pressure"), dp_slice("Pa"), 101325}}};
	sensor_correct(&list.specs[0], &outcome);
	assert_true(outcome.values[0].value == 20.8);
	assert_true(outcome.values[1].value == 57);
	assert_true(outcome.values[2].value == 101325);
	sensor_list_finish(&list);
	assert_refused("a=sim@1,offset:temperature=warm",
		"offset:temperature=warm: a number, for a quantity such as temperature; at "
		"most 8 quantities");
	assert_refused("a=sim@1,scale:=1",
		"scale:=1: a number, for a quantity such as temperature; at most 8 "
		"quantities");
}

static void test_options_are_checked_numbers(void **state)
{
	(void)state;
	char why[128] = "";
	int64_t number = 7;
	bool flag = true;
	assert_string_equal(parse("a=dht22@x:4,retries=3,twos-complement=1"), "");
	const struct spec *spec = list.specs[0].spec;
	assert_int_equal(spec_number(spec, "retries", 0, 10, &number, why, 128), 0);
	assert_int_equal(number, 3);
	assert_int_equal(spec_number(spec, "start-ms", 0, 10, &number, why, 128), 0);
	assert_int_equal(number, 3);
	assert_int_equal(spec_number(spec, "retries", 4, 10, &number, why, 128), -EINVAL);
	assert_string_equal(why, "retries=3: a whole number from 4 to 10");
	assert_int_equal(spec_flag(spec, "two-byte-checksum", &flag, why, 128), 0);
	assert_true(flag);
	assert_int_equal(spec_flag(spec, "retries", &flag, why, 128), -EINVAL);
	sensor_list_finish(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sensor_has_a_name_a_driver_and_an_argument),
		cmocka_unit_test(test_options_belong_to_the_sensor_before_them),
		cmocka_unit_test(
			test_an_argument_may_hold_an_at_sign_and_an_option_nothing),
		cmocka_unit_test(test_malformed_specifications_are_refused_with_the_reason),
		cmocka_unit_test(test_there_may_be_none),
		cmocka_unit_test(test_names_follow_the_contract),
		cmocka_unit_test(
			test_an_unknown_driver_or_option_is_named_with_those_there_are),
		cmocka_unit_test(test_a_long_specification_never_overruns_the_reason),
		cmocka_unit_test(test_there_are_at_most_32_sensors),
		cmocka_unit_test(test_a_sensor_has_at_most_24_options),
		cmocka_unit_test(test_every_driver_is_whole_and_has_a_name_of_its_own),
		cmocka_unit_test(test_a_period_stands_behind_the_argument),
		cmocka_unit_test(test_values_are_corrected),
		cmocka_unit_test(test_options_are_checked_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
