#include "dht_line.h"
#include "sampler/decode_tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yyjson.h>

#include <cmocka.h>

#define DATA "tests/data/"

/* What a run of the tool printed, and its exit code. */
struct outcome {
	int code;
	char *out;
	char errors[512];
};

static void outcome_finish(struct outcome *outcome)
{
	free(outcome->out);
}

/* A test without its files is no test. */
static FILE *opened(FILE *file)
{
	if (file == NULL)
		abort();
	return file;
}

/* Send stderr to this file until swapped back. @return where it went before */
static int swap_stderr(int fd)
{
	int before = dup(STDERR_FILENO);

	fflush(stderr);
	if (before < 0 || dup2(fd, STDERR_FILENO) < 0)
		abort();
	return before;
}

/* Run the tool on these bytes. */
static struct outcome run(const char *model, const char *text, size_t len)
{
	struct outcome outcome = {0};
	size_t out_len, errors_len;
	FILE *in = opened(len > 0 ? fmemopen((void *)(uintptr_t)text, len, "r")
				  : fopen("/dev/null", "r"));
	FILE *out = opened(open_memstream(&outcome.out, &out_len));
	FILE *errors = opened(tmpfile());
	int before = swap_stderr(fileno(errors));

	outcome.code = decode_tool(model, in, out);
	close(swap_stderr(before));
	close(before);
	assert_int_equal(fseek(errors, 0, SEEK_SET), 0);
	errors_len = fread(outcome.errors, 1, sizeof(outcome.errors) - 1, errors);
	outcome.errors[errors_len] = '\0';
	fclose(errors);
	fclose(in);
	fclose(out);
	return outcome;
}

static void check(
	const char *model, const char *text, int code, const char *out, const char *errors)
{
	struct outcome outcome = run(model, text, strlen(text));

	assert_string_equal(outcome.errors, errors);
	assert_string_equal(outcome.out, out);
	assert_int_equal(outcome.code, code);
	outcome_finish(&outcome);
}

static char *read_file(const char *path, size_t *len)
{
	FILE *file = opened(fopen(path, "r"));
	char *text = calloc(1, 1 << 16);

	if (text == NULL)
		abort();
	*len = fread(text, 1, (1 << 16) - 1, file);
	assert_true(feof(file));
	fclose(file);
	return text;
}

static const char *string(yyjson_val *object, const char *name)
{
	const char *text = yyjson_get_str(yyjson_obj_get(object, name));

	if (text == NULL)
		abort();
	return text;
}

/* Every real capture, to the letter. */
static void test_captures(void **state)
{
	(void)state;
	yyjson_doc *truth = yyjson_read_file(DATA "truth.json", 0, NULL, NULL);
	yyjson_val *file, *transaction;
	size_t i, max, k, transactions, files = 0;

	assert_non_null(truth);
	yyjson_arr_foreach(
		yyjson_obj_get(yyjson_doc_get_root(truth), "files"), i, max, file)
	{
		char path[128], *text, *wanted = NULL;
		const char *sensor = string(file, "sensor");
		size_t len, wanted_len;
		FILE *lines = opened(open_memstream(&wanted, &wanted_len));
		struct outcome outcome;

		yyjson_arr_foreach(
			yyjson_obj_get(file, "transactions"), k, transactions, transaction)
		{
			fprintf(lines, "%lld\t%.1f\t%.1f\t%s\n",
				(long long)yyjson_get_sint(
					yyjson_obj_get(transaction, "t_ns")),
				yyjson_get_num(yyjson_obj_get(transaction, "humidity")),
				yyjson_get_num(yyjson_obj_get(transaction, "temperature")),
				string(transaction, "result"));
		}
		fclose(lines);
		snprintf(path, sizeof(path), DATA "%s", string(file, "file"));
		text = read_file(path, &len);
		outcome = run(sensor, text, len);
		assert_string_equal(outcome.errors, "");
		assert_string_equal(outcome.out, wanted);
		assert_int_equal(outcome.code, 0);
		outcome_finish(&outcome);
		/* The other family's rules make no value of it. */
		outcome = run(strcmp(sensor, "DHT11") == 0 ? "dht22" : "dht11", text, len);
		assert_int_equal(outcome.code, 0);
		assert_null(strstr(outcome.out, "ok"));
		assert_null(strstr(outcome.out, "recovered"));
		assert_non_null(strstr(outcome.out, "\t-\t-\trange\n"));
		outcome_finish(&outcome);
		free(text);
		free(wanted);
		files++;
	}
	yyjson_doc_free(truth);
	assert_int_equal(files, 7);
}

/* A capture cut at any byte: a prefix of the lines, the last one perhaps without a value.
 */
static void test_cut_anywhere(void **state)
{
	(void)state;
	size_t len, rows = 0;
	char *text = read_file(DATA "am2302_1mhz_3samples.csv", &len);
	struct outcome whole = run("am2302", text, len);

	for (size_t cut = 0; cut < len; cut++) {
		struct outcome outcome = run("am2302", text, cut);
		size_t same = 0, printed = strlen(outcome.out);

		rows += cut > 0 && text[cut - 1] == '\n';
		while (outcome.out[same] != '\0' && outcome.out[same] == whole.out[same])
			same++;
		if (same < printed) {
			assert_true(strstr(outcome.out + same, "short\n") != NULL ||
				    strstr(outcome.out + same, "no-response\n") != NULL);
			assert_string_equal(strchr(outcome.out + same, '\n'), "\n");
		}
		/* Only where a transaction, or its start pulse, is over may a capture end.
		 */
		if (outcome.code == 0) {
			size_t edges = rows - 1 + (text[cut - 1] != '\n');
			assert_true(edges % 86 == 0 || edges % 86 == 2);
			assert_string_equal(outcome.errors, "");
		} else {
			assert_int_equal(outcome.code, 1);
			assert_non_null(strstr(outcome.errors, ": line "));
		}
		outcome_finish(&outcome);
	}
	outcome_finish(&whole);
	free(text);
}

/* Append a transaction as text. */
static int64_t write_transaction(FILE *out, const struct dht_shape *shape,
	struct dht_bytes bytes, int64_t t_ns, bool answered)
{
	struct dht_line line = dht_line(shape, bytes, 40, t_ns + 20000 * LINE_US);

	fprintf(out, "%lld,0\n%lld,1\n", (long long)t_ns, (long long)line.release_ns);
	for (size_t i = 0; answered && i < line.count; i++) {
		if (i > 0)
			fprintf(out, "%lld,1\n", (long long)line.rise_ns[i]);
		fprintf(out, "%lld,0\n", (long long)line.fall_ns[i]);
	}
	if (answered)
		fprintf(out, "%lld,1\n", (long long)line.last_rise_ns);
	return t_ns + 2000000 * LINE_US;
}

static void test_values(void **state)
{
	(void)state;
	char *text = NULL;
	size_t len;
	FILE *file = opened(open_memstream(&text, &len));
	struct dht_bytes bad = dht_bytes(2, 14, 1, 0);
	int64_t t = 1000;

	bad.at[4]++;
	t = write_transaction(file, &shape_am2302, dht_bytes(2, 14, 0x80, 5), t, true);
	t = write_transaction(file, &shape_am2302, dht_bytes(2, 14, 0x80, 101), t, true);
	t = write_transaction(file, &shape_am2302, dht_bytes(3, 232, 0x81, 0x90), t, true);
	t = write_transaction(file, &shape_am2302, dht_bytes(2, 14, 1, 0), t, false);
	t = write_transaction(file, &shape_am2302, bad, t, true);
	t = write_transaction(file, &shape_am2302, dht_bytes(40, 14, 1, 0), t, true);
	t = write_transaction(file, &shape_am2302, dht_bytes(0, 5, 0x80, 0), t, true);
	(void)write_transaction(file, &shape_am2302, dht_bytes(0, 5, 0, 70), t, true);
	fclose(file);
	check("AM2302", text, 0,
		"1000\t52.6\t-0.5\tok\n"
		"2000001000\t52.6\t-10.1\tok\n"
		"4000001000\t100.0\t-40.0\tok\n"
		"6000001000\t-\t-\tno-response\n"
		"8000001000\t-\t-\tchecksum\n"
		"10000001000\t-\t-\trange\n"
		"12000001000\t-\t-\trange\n"
		"14000001000\t0.5\t7.0\tok\n",
		"");
	free(text);
}

static void test_unknown_model(void **state)
{
	(void)state;

	check("dht33", "1,0\n", 78, "",
		"sampler --decode: unknown model \"dht33\": it must be one of dht11, "
		"dht22, dht21, "
		"am2301, am2302, am2303, am2320, am2321, am2322, rht03\n");
	check("", "1,0\n", 78, "",
		"sampler --decode: unknown model \"\": it must be one of dht11, dht22, "
		"dht21, "
		"am2301, am2302, am2303, am2320, am2321, am2322, rht03\n");
}

static void test_malformed(void **state)
{
	(void)state;

	check("dht22", "", 1, "",
		"sampler --decode: malformed capture: line 1: the capture has no edge\n");
	check("dht22", "t_ns,level\n0,0\n20000000,1\n20000001,2\n", 1, "",
		"sampler --decode: malformed capture: line 4: level must be 0 or 1: "
		"\"20000001,2\"\n");
	check("dht22", "t_ns,level\n1000,0\n1200,1\n", 1, "",
		"sampler --decode: line 3: no start pulse up to the end of the capture\n");
}

static void test_truncated(void **state)
{
	(void)state;

	check("dht22", "t_ns,level\n0,0\n20000000,1\n20044000,0\n20104000,1\n", 1,
		"0\t-\t-\tshort\n",
		"sampler --decode: line 5: truncated: the capture ends in the middle of a "
		"transaction\n");
	check("dht22", "0,0\n20000000,1\n2004400", 1, "0\t-\t-\tno-response\n",
		"sampler --decode: line 3: truncated: the capture ends in the middle of a "
		"transaction\n");
	check("dht22", "0,0\n20000000,1\n500000000,0\n", 1, "0\t-\t-\tno-response\n",
		"sampler --decode: line 3: truncated: the capture ends in the middle of a "
		"transaction\n");
}

/* A disk that is full is no success. */
static void test_write_failure(void **state)
{
	(void)state;
	FILE *full = opened(fopen("/dev/full", "w"));
	FILE *in = opened(fopen(DATA "rht03_4mhz.csv", "r"));
	FILE *errors = opened(tmpfile());
	int before = swap_stderr(fileno(errors));

	assert_int_equal(decode_tool("rht03", in, full), 1);
	close(swap_stderr(before));
	close(before);
	fclose(errors);
	fclose(in);
	(void)fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_unknown_model),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_write_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
