#include "number.h"
#include "sampler/iio_device.h"
#include "support.h"

/* A file of a device in the test's directory; "\0" ends the list of name and content. */
static void make_device(
	void **state, const char *folder, const char *const *files, char path[PATH_SIZE])
{
	path_in(state, folder, path);
	require(mkdir(path, 0755) == 0);
	for (; files[0] != NULL; files += 2) {
		char file[PATH_SIZE + 80];
		snprintf(file, sizeof(file), "%s/%s", path, files[0]);
		write_file(file, files[1], strlen(files[1]));
	}
}

/* `quantity=value(unit) ...` */
static void assert_values(const char *path, const char *expected)
{
	struct iio_values values;
	char text[512] = "";
	assert_int_equal(iio_read(path, &values), 0);
	for (unsigned i = 0; i < values.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%g(%s)",
			i > 0 ? " " : "", values.at[i].quantity, values.at[i].value,
			values.at[i].unit);
	assert_string_equal(text, expected);
}

static void test_processed_and_raw_channels_get_senml_units(void **state)
{
	static const char *const files[] = {"name", "bme280\n", "in_temp_input", "23450\n",
		"in_humidityrelative_input", "48125\n", "in_pressure_input", "101.325\n",
		"in_temp_oversampling_ratio", "2\n", "uevent", "DRIVER=x\n", NULL};
	static const char *const raw[] = {"name", "si7020\n", "in_temp_raw", "26848\n",
		"in_temp_offset", "-4368\n", "in_temp_scale", "10.725097\n",
		"in_humidityrelative_raw", "8000\n", "in_humidityrelative_offset", "-786\n",
		"in_humidityrelative_scale", "8\n", NULL};
	char path[PATH_SIZE];
	make_device(state, "iio:device0", files, path);
	assert_values(
		path, "humidity=48.125(%RH) pressure=101325(Pa) temperature=23.45(Cel)");
	make_device(state, "iio:device1", raw, path);
	assert_values(path, "humidity=57.712(%RH) temperature=241.1(Cel)");
}

static void test_numbered_and_modified_channels_keep_their_names(void **state)
{
	static const char *const files[] = {"in_voltage0_raw", "1000\n", "in_voltage1_raw",
		"2000\n", "in_voltage_scale", "0.5\n", "in_voltage1_scale", "1.5\n",
		"in_voltage0-voltage1_raw", "7\n", "in_concentration_co2_input", "0.045\n",
		"in_tempering_raw", "3\n", "in_count0_raw", "3\n", NULL};
	char path[PATH_SIZE];
	make_device(state, "iio:device0", files, path);
	assert_values(path, "concentration_co2=0.045(%) voltage0=0.5(V) voltage1=3(V)");
}

static void test_of_more_than_eight_channels_the_first_by_name_are_read(void **state)
{
	/* Not in order: neither is a folder. */
	static const char *const files[] = {"in_voltage11_raw", "11", "in_voltage3_raw",
		"3", "in_voltage10_raw", "10", "in_voltage0_raw", "0", "in_voltage9_raw",
		"9", "in_voltage1_raw", "1", "in_voltage8_raw", "8", "in_voltage2_raw", "2",
		"in_voltage4_raw", "4", "in_voltage7_raw", "7", "in_voltage5_raw", "5",
		"in_voltage6_raw", "6", "in_voltage_scale", "1000", NULL};
	char path[PATH_SIZE];
	struct iio_values values;
	make_device(state, "iio:device0", files, path);
	assert_values(path, "voltage0=0(V) voltage1=1(V) voltage2=2(V) voltage3=3(V) "
			    "voltage4=4(V) voltage5=5(V) voltage6=6(V) voltage7=7(V)");
	assert_int_equal(iio_read(path, &values), 0);
	assert_int_equal(values.left_out, 4);
	assert_string_equal(values.left_out_names, "voltage8 voltage9 voltage10 voltage11");
}

static void test_a_channel_that_fails_costs_itself_only(void **state)
{
	static const char *const files[] = {"in_temp_input", "21500\n",
		"in_humidityrelative_input", "wet\n", "in_pressure_raw", "1\n",
		"in_pressure_scale", "\n", NULL};
	char path[PATH_SIZE];
	struct iio_values values;
	make_device(state, "iio:device0", files, path);
	assert_values(path, "temperature=21.5(Cel)");
	assert_int_equal(iio_read(path, &values), 0);
	assert_int_equal(values.failed, 2);
	assert_int_equal(values.error, -EIO);
	assert_string_equal(values.failed_quantity, "humidity");
}

/* What a program prints that prints every digit of a double. */
static void assert_printed(
	void **state, const char *name, const char *const *files, const char *expected)
{
	char path[PATH_SIZE], text[32];
	struct iio_values values;
	make_device(state, name, files, path);
	assert_int_equal(iio_read(path, &values), 0);
	assert_int_equal(values.n, 1);
	dp_format_double(text, values.at[0].value);
	assert_string_equal(text, expected);
}

static void test_values_have_the_decimals_of_what_they_are_computed_from(void **state)
{
	static const char *const cases[][8] = {
		{"15.008", "in_temp_raw", "1876", "in_temp_scale", "8"},
		{"0.994189452508", "in_voltage0_raw", "1234", "in_voltage0_scale",
			"0.805664062"},
		{"-0.003", "in_temp_input", "-3"},
		{"101325.3", "in_pressure_input", "101.3253"},
		{"241.115422", "in_temp_raw", "26848", "in_temp_offset", "-4368",
			"in_temp_scale", "10.725775"},
		{"5e-09", "in_current0_raw", "5", "in_current0_scale", "0.000001"},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char name[32];
		snprintf(name, sizeof(name), "iio:device%zu", i);
		assert_printed(state, name, cases[i] + 1, cases[i][0]);
	}
}

static void test_devices_are_found_by_name_and_by_folder(void **state)
{
	static const char *const files[] = {"name", "bme280\n", NULL};
	static const char *const other[] = {"name", "bme2800\n", NULL};
	char path[PATH_SIZE], root[PATH_SIZE], found[IIO_PATH_SIZE];
	path_in(state, ".", root);
	assert_int_equal(iio_find("bme280", root, found), -ENODEV);
	make_device(state, "iio:device1", other, path);
	assert_int_equal(iio_find("bme280", root, found), -ENODEV);
	make_device(state, "iio:device0", files, path);
	assert_int_equal(iio_find("bme280", root, found), 0);
	assert_non_null(strstr(found, "iio:device0"));
	assert_int_equal(iio_find(path, "/nonexistent", found), 0);
	assert_string_equal(found, path);
	assert_int_equal(iio_find("/nonexistent/device", root, found), -ENODEV);
	assert_int_equal(iio_find("bme280", "/nonexistent", found), -ENODEV);
}

static void test_a_device_without_a_value_is_an_error(void **state)
{
	static const char *const nothing[] = {"name", "x\n", NULL};
	static const char *const malformed[] = {"in_temp_input", "hot\n", NULL};
	static const char *const half[] = {"in_temp_raw", "1\n", "in_temp_scale", "", NULL};
	char path[PATH_SIZE];
	struct iio_values values;
	make_device(state, "iio:device0", nothing, path);
	assert_int_equal(iio_read(path, &values), -ENODATA);
	make_device(state, "iio:device1", malformed, path);
	assert_int_equal(iio_read(path, &values), -EIO);
	make_device(state, "iio:device2", half, path);
	assert_int_equal(iio_read(path, &values), -EIO);
	assert_int_equal(iio_read("/nonexistent/device", &values), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_processed_and_raw_channels_get_senml_units),
		IN_DIRECTORY(test_numbered_and_modified_channels_keep_their_names),
		IN_DIRECTORY(test_of_more_than_eight_channels_the_first_by_name_are_read),
		IN_DIRECTORY(test_a_channel_that_fails_costs_itself_only),
		IN_DIRECTORY(test_values_have_the_decimals_of_what_they_are_computed_from),
		IN_DIRECTORY(test_devices_are_found_by_name_and_by_folder),
		IN_DIRECTORY(test_a_device_without_a_value_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
