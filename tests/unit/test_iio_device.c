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

static void test_more_than_eight_channels_are_cut(void **state)
{
	static const char *const files[] = {"in_voltage0_raw", "1", "in_voltage1_raw", "1",
		"in_voltage2_raw", "1", "in_voltage3_raw", "1", "in_voltage4_raw", "1",
		"in_voltage5_raw", "1", "in_voltage6_raw", "1", "in_voltage7_raw", "1",
		"in_voltage8_raw", "1", NULL};
	char path[PATH_SIZE];
	struct iio_values values;
	make_device(state, "iio:device0", files, path);
	assert_int_equal(iio_read(path, &values), 0);
	assert_int_equal(values.n, DP_READING_VALUES);
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
		IN_DIRECTORY(test_more_than_eight_channels_are_cut),
		IN_DIRECTORY(test_devices_are_found_by_name_and_by_folder),
		IN_DIRECTORY(test_a_device_without_a_value_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
