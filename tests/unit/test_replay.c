#include "driver_reader.h"

#include <yyjson.h>

#define DATA "tests/data/"

static struct reader reader; /* too large for the stack */

static yyjson_doc *read_truth(void)
{
	yyjson_doc *truth = yyjson_read_file(DATA "truth.json", 0, NULL, NULL);
	assert_non_null(truth);
	return truth;
}

static const char *text_of(yyjson_val *object, const char *key)
{
	yyjson_val *val = yyjson_obj_get(object, key);
	return yyjson_is_str(val) ? yyjson_get_str(val) : "";
}

/* Two rounds of a capture are its transactions, in order, twice. */
static void plays(const char *spec, yyjson_val *transactions)
{
	assert_int_equal(reader_open(&reader, spec, 0), 0);
	for (int round = 0; round < 2; round++) {
		size_t i, max;
		yyjson_val *transaction;
		yyjson_arr_foreach(transactions, i, max, transaction)
		{
			const struct driver_outcome *outcome = reader_read(&reader);
			assert_null(outcome->failure);
			assert_int_equal(outcome->n, 2);
			assert_value(&outcome->values[0], "temperature", "Cel",
				yyjson_get_num(yyjson_obj_get(transaction, "temperature")));
			assert_value(&outcome->values[1], "humidity", "%RH",
				yyjson_get_num(yyjson_obj_get(transaction, "humidity")));
		}
	}
	reader_close(&reader);
}

static void test_every_capture_is_played_in_order_again_and_again(void **state)
{
	(void)state;
	yyjson_doc *truth = read_truth();
	yyjson_val *file, *files = yyjson_obj_get(yyjson_doc_get_root(truth), "files");
	char spec[256];
	size_t i, max, n = 0;
	yyjson_arr_foreach(files, i, max, file)
	{
		const char *name = text_of(file, "file");
		const char *sensor = text_of(file, "sensor");
		/* The model is found by itself, and may be said. */
		snprintf(spec, sizeof(spec), "replay@" DATA "%s", name);
		plays(spec, yyjson_obj_get(file, "transactions"));
		snprintf(spec, sizeof(spec), "replay@" DATA "%s,model=%s", name, sensor);
		plays(spec, yyjson_obj_get(file, "transactions"));
		n++;
	}
	assert_int_equal(n, 7);
	yyjson_doc_free(truth);
}

static void test_the_wrong_model_yields_a_failure_and_no_value(void **state)
{
	(void)state;
	assert_int_equal(
		reader_open(&reader, "replay@" DATA "dht11_1mhz.csv,model=dht22", 0), 0);
	for (int i = 0; i < 4; i++)
		assert_string_equal(reader_read(&reader)->failure, "range");
	reader_close(&reader);
}

static void test_a_file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
	(void)state;
	assert_int_equal(reader_open(&reader, "replay@" DATA "absent.csv", 0), -EINVAL);
	assert_string_equal(reader.why, DATA "absent.csv: No such file or directory");
	reader_close(&reader);
	assert_int_equal(reader_open(&reader, "replay@tests/data", 0), -EINVAL);
	assert_string_equal(reader.why, "tests/data: Is a directory");
	reader_close(&reader);
}

static void test_an_unknown_model_is_refused(void **state)
{
	(void)state;
	assert_int_equal(
		reader_open(&reader, "replay@" DATA "dht11_1mhz.csv,model=dht23", 0),
		-EINVAL);
	assert_non_null(strstr(reader.why, "model=dht23: there are dht11, dht22"));
	reader_close(&reader);
}

static void test_a_file_that_is_no_capture_is_refused_with_the_line(void **state)
{
	char path[PATH_SIZE], spec[PATH_SIZE + 16];
	static const char text[] = "t_ns,level\n1000,0\nsoon,1\n";
	write_file(path_in(state, "bad.csv", path), text, strlen(text));
	snprintf(spec, sizeof(spec), "replay@%s", path);
	assert_int_equal(reader_open(&reader, spec, 0), -EINVAL);
	assert_non_null(strstr(reader.why, ": line 3: "));
	reader_close(&reader);

	write_file(path, "", 0);
	assert_int_equal(reader_open(&reader, spec, 0), -EINVAL);
	assert_non_null(strstr(reader.why, ": line 1: the capture has no edge"));
	reader_close(&reader);
}

static void test_a_capture_without_a_transaction_is_a_sensor_that_does_not_answer(
	void **state)
{
	char path[PATH_SIZE], spec[PATH_SIZE + 16];
	static const char text[] = "t_ns,level\n1000,1\n2000,0\n3000,1\n";
	write_file(path_in(state, "idle.csv", path), text, strlen(text));
	snprintf(spec, sizeof(spec), "replay@%s", path);
	assert_int_equal(reader_open(&reader, spec, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(reader_read(&reader)->failure, "no-response");
	reader_close(&reader);
}

/* The first n bytes of a capture, in a file of their own. */
static void write_beginning(const char *path, const char *capture, size_t n)
{
	static char text[65536];
	int fd = open(capture, O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	ssize_t len = read(fd, text, sizeof(text));
	close(fd);
	require(len > (ssize_t)n);
	write_file(path, text, n);
}

static void test_a_truncated_capture_is_reported_and_what_is_whole_is_played(void **state)
{
	char path[PATH_SIZE], spec[PATH_SIZE + 16], log[1024];
	struct capture capture;
	/* 86 rows a transaction and a header: cut in a row of the second one. */
	write_beginning(path_in(state, "cut.csv", path), DATA "am2302_1mhz_3samples.csv",
		86 * 11 + 200);
	snprintf(spec, sizeof(spec), "replay@%s", path);
	capture_begin(&capture, STDERR_FILENO);
	int err = reader_open(&reader, spec, 0);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(err, 0);
	assert_non_null(strstr(log, "level=warn"));
	assert_non_null(strstr(log, "the capture is truncated"));
	const struct driver_outcome *outcome = reader_read(&reader);
	assert_null(outcome->failure);
	assert_value(&outcome->values[0], "temperature", "Cel", 24.8);
	assert_value(&outcome->values[1], "humidity", "%RH", 47.6);
	reader_close(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_capture_is_played_in_order_again_and_again),
		cmocka_unit_test(test_the_wrong_model_yields_a_failure_and_no_value),
		cmocka_unit_test(test_a_file_that_cannot_be_read_is_named_with_the_reason),
		cmocka_unit_test(test_an_unknown_model_is_refused),
		IN_DIRECTORY(test_a_file_that_is_no_capture_is_refused_with_the_line),
		IN_DIRECTORY(
			test_a_capture_without_a_transaction_is_a_sensor_that_does_not_answer),
		IN_DIRECTORY(
			test_a_truncated_capture_is_reported_and_what_is_whole_is_played),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
