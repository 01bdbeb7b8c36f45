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
	assert_string_equal(list.specs[0].name, "climate");
	assert_string_equal(list.specs[0].driver->name, "sim");
	assert_string_equal(list.specs[0].argument, "42");
	assert_int_equal(list.specs[0].n_options, 0);
	assert_null(sensor_option(&list.specs[0], "count"));
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
	assert_string_equal(sensor_option(&list.specs[0], "count"), "5");
	assert_null(sensor_option(&list.specs[0], "model"));
	assert_string_equal(list.specs[1].driver->name, "replay");
	assert_string_equal(list.specs[1].argument, "/captures/x=1.csv");
	assert_string_equal(sensor_option(&list.specs[1], "model"), "dht11");
	assert_int_equal(list.specs[2].n_options, 0);
	sensor_list_finish(&list);
}

static void test_an_argument_may_hold_an_at_sign_and_an_option_nothing(void **state)
{
	(void)state;
	assert_string_equal(parse("a=replay@/home/me@here/x.csv,b=sim@1,count="), "");
	assert_string_equal(list.specs[0].argument, "/home/me@here/x.csv");
	assert_string_equal(sensor_option(&list.specs[1], "count"), "");
	sensor_list_finish(&list);
}

static void test_malformed_specifications_are_refused_with_the_reason(void **state)
{
	(void)state;
	assert_refused("", " is neither name=driver@argument nor option=value");
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
	const char *why = parse("a=dht23@7");
	assert_ptr_equal(strstr(why, "there is no driver dht23, there are:"), why);
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
	assert_string_equal(list.specs[31].name, "s31");
	sensor_list_finish(&list);
	memcpy(text + strlen(text), ",one-more=sim@1", sizeof(",one-more=sim@1"));
	assert_refused(text, "at most 32 sensors");
}

static void test_a_sensor_has_at_most_8_options(void **state)
{
	(void)state;
	char text[256] = "a=sim@1";
	for (int i = 0; i < SENSOR_OPTIONS_MAX; i++)
		memcpy(text + strlen(text), ",count=1", sizeof(",count=1"));
	assert_string_equal(parse(text), "");
	assert_int_equal(list.specs[0].n_options, SENSOR_OPTIONS_MAX);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sensor_has_a_name_a_driver_and_an_argument),
		cmocka_unit_test(test_options_belong_to_the_sensor_before_them),
		cmocka_unit_test(
			test_an_argument_may_hold_an_at_sign_and_an_option_nothing),
		cmocka_unit_test(test_malformed_specifications_are_refused_with_the_reason),
		cmocka_unit_test(test_names_follow_the_contract),
		cmocka_unit_test(
			test_an_unknown_driver_or_option_is_named_with_those_there_are),
		cmocka_unit_test(test_a_long_specification_never_overruns_the_reason),
		cmocka_unit_test(test_there_are_at_most_32_sensors),
		cmocka_unit_test(test_a_sensor_has_at_most_8_options),
		cmocka_unit_test(test_every_driver_is_whole_and_has_a_name_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
