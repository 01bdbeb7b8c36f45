/*
 * Captures of the whole family as an analyser would store them, text in and lines out: each
 * sensor's timing, at each sample rate, below zero, wherever the capture begins.
 */
#include "dht_line.h"
#include "sampler/decode_tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define EDGES_MAX 4096
#define START_US 20000
#define PAUSE_US 2000000

static const struct family {
	const char *name;
	enum dht_model model;
	int bits;
	struct dht_shape shape;
} family[] = {
	{"dht11", DHT_MODEL_DHT11, 40, {51, 86, 54, 54, 24, 71}},
	{"dht11", DHT_MODEL_DHT11, 40, {50, 87, 54, 55, 22, 68}},
	{"dht11", DHT_MODEL_DHT11, 40, {52, 86, 54, 54, 26, 72}},
	{"am2301", DHT_MODEL_DHT22, 64, {59, 81, 59, 63, 26, 75}},
	{"dht21", DHT_MODEL_DHT22, 64, {60, 82, 58, 63, 27, 76}},
	{"am2302", DHT_MODEL_DHT22, 40, {62, 81, 54, 67, 26, 73}},
	{"dht22", DHT_MODEL_DHT22, 40, {79, 82, 53, 66, 25, 72}},
	{"am2303", DHT_MODEL_DHT22, 40, {80, 82, 54, 67, 26, 73}},
	{"am2320", DHT_MODEL_DHT22, 40, {82, 83, 54, 68, 27, 74}},
	{"am2321", DHT_MODEL_DHT22, 40, {81, 82, 54, 67, 25, 74}},
	{"am2322", DHT_MODEL_DHT22, 40, {78, 81, 54, 68, 26, 72}},
	{"rht03", DHT_MODEL_DHT22, 40, {78, 81, 54, 67, 26, 73}},
};
#define FAMILY (sizeof(family) / sizeof(family[0]))

/* Nanoseconds between an analyser's samples: 500 kHz, 1, 4 and 24 MHz. */
static const int64_t ticks_ns[] = {2000, 1000, 250, 41};
#define RATES (sizeof(ticks_ns) / sizeof(ticks_ns[0]))

/* A capture in the making, and the lines that it should give. */
struct capture {
	int64_t t_ns[EDGES_MAX];
	size_t count, gone; /* edges before the capture began */
	int64_t tick_ns;
	char *wanted;
	size_t wanted_len;
	FILE *lines;
};

/* A test without its files is no test. */
static FILE *opened(FILE *file)
{
	if (file == NULL)
		abort();
	return file;
}

static void capture_begin(struct capture *capture, int64_t tick_ns)
{
	*capture = (struct capture){.tick_ns = tick_ns};
	capture->lines = opened(open_memstream(&capture->wanted, &capture->wanted_len));
}

/* An edge is stored with the sample that shows it first. */
static void edge(struct capture *capture, int64_t t_ns)
{
	assert_true(capture->count < EDGES_MAX);
	capture->t_ns[capture->count++] =
		(t_ns + capture->tick_ns - 1) / capture->tick_ns * capture->tick_ns;
}

/* A start pulse some time after the last edge. @return its release */
static int64_t start(struct capture *capture, uint64_t *random)
{
	int64_t t = (int64_t)(line_random(random) % 4000);

	t += capture->count > 0 ? capture->t_ns[capture->count - 1] : 0;
	t += PAUSE_US * LINE_US;
	edge(capture, t);
	edge(capture, t + START_US * LINE_US);
	return t + START_US * LINE_US;
}

static void expect(struct capture *capture, size_t first, const char *result)
{
	fprintf(capture->lines, "%lld\t%s\n", (long long)capture->t_ns[first], result);
}

static void unanswered(struct capture *capture, uint64_t *random)
{
	size_t first = capture->count;

	(void)start(capture, random);
	expect(capture, first, "-\t-\tno-response");
}

/* A transaction, by a sensor whose clock is up to 1 % off. */
static void answered(struct capture *capture, const struct family *sensor,
	struct dht_bytes bytes, uint64_t *random)
{
	int64_t release = start(capture, random);
	int64_t rate = 990 + (int64_t)(line_random(random) % 21);
	struct dht_line line = dht_line(&sensor->shape, bytes, sensor->bits, 0);

	for (size_t i = 0; i < line.count; i++) {
		if (i > 0)
			edge(capture, release + line.rise_ns[i] * rate / 1000);
		edge(capture, release + line.fall_ns[i] * rate / 1000);
	}
	edge(capture, release + line.last_rise_ns * rate / 1000);
}

/* Decode it. @return the lines, to be freed */
static char *decode(const struct capture *capture, const char *model)
{
	char *text = NULL, *out = NULL;
	size_t len, out_len;
	FILE *file = opened(open_memstream(&text, &len));

	fprintf(file, "t_ns,level\n");
	for (size_t i = capture->gone; i < capture->count; i++)
		fprintf(file, "%lld,%zu\n", (long long)capture->t_ns[i], i % 2);
	fclose(file);
	FILE *in = opened(fmemopen(text, len, "r"));
	FILE *lines = opened(open_memstream(&out, &out_len));
	assert_int_equal(decode_tool(model, in, lines), 0);
	fclose(in);
	fclose(lines);
	free(text);
	return out;
}

static void capture_check(struct capture *capture, const char *model)
{
	fclose(capture->lines);
	char *out = decode(capture, model);
	assert_string_equal(out, capture->wanted);
	free(out);
	free(capture->wanted);
}

/* Values in tenths, as people read them, and the bytes that say so. */
struct value {
	int rh, temp;
	struct dht_bytes bytes;
};

/* A DHT11's sign stands with the tenths or with the degrees. */
static struct value dht11_value(int rh, int temp, bool sign_with_degrees)
{
	int magnitude = temp < 0 ? -temp : temp, sign = temp < 0 ? 0x80 : 0;

	return (struct value){rh, temp,
		dht_bytes(rh / 10, rh % 10, magnitude / 10 | (sign_with_degrees ? sign : 0),
			magnitude % 10 | (sign_with_degrees ? 0 : sign))};
}

static struct value dht22_value(int rh, int temp)
{
	int magnitude = temp < 0 ? -temp : temp, sign = temp < 0 ? 0x80 : 0;

	return (struct value){rh, temp,
		dht_bytes(rh >> 8, rh & 0xff, magnitude >> 8 | sign, magnitude & 0xff)};
}

static struct value any_value(enum dht_model model, uint64_t *random)
{
	int rh = 21 + (int)(line_random(random) % 980);

	if (model == DHT_MODEL_DHT11)
		return dht11_value(rh, (int)(line_random(random) % 801) - 200,
			line_random(random) % 2 == 0);
	return dht22_value(rh, (int)(line_random(random) % 1201) - 400);
}

static void read_value(struct capture *capture, const struct family *sensor,
	struct value value, uint64_t *random)
{
	char result[64];
	size_t first = capture->count;
	int magnitude = value.temp < 0 ? -value.temp : value.temp;

	answered(capture, sensor, value.bytes, random);
	snprintf(result, sizeof(result), "%d.%d\t%s%d.%d\tok", value.rh / 10, value.rh % 10,
		value.temp < 0 ? "-" : "", magnitude / 10, magnitude % 10);
	expect(capture, first, result);
}

/* Every sensor at every rate, between start pulses that nobody answered. */
static void test_family(void **state)
{
	(void)state;
	uint64_t random = 5;

	for (size_t i = 0; i < FAMILY * RATES; i++) {
		const struct family *sensor = &family[i / RATES];
		struct capture capture;

		capture_begin(&capture, ticks_ns[i % RATES]);
		unanswered(&capture, &random);
		for (int reads = 0; reads < 20; reads++) {
			read_value(&capture, sensor, any_value(sensor->model, &random),
				&random);
			if (reads % 7 == 3)
				unanswered(&capture, &random);
		}
		unanswered(&capture, &random);
		unanswered(&capture, &random);
		capture_check(&capture, sensor->name);
	}
}

/* The ends of each range, zero, and the first values on either side of it. */
static void test_around_zero(void **state)
{
	(void)state;
	static const int temps[] = {-400, -399, -256, -255, -200, -199, -101, -10, -9, -1,
		0, 1, 9, 10, 255, 256, 599, 600, 799, 800};
	uint64_t random = 6;

	for (size_t i = 0; i < FAMILY * RATES; i++) {
		const struct family *sensor = &family[i / RATES];
		bool dht11 = sensor->model == DHT_MODEL_DHT11;
		struct capture capture;

		capture_begin(&capture, ticks_ns[i % RATES]);
		for (size_t k = 0; k < sizeof(temps) / sizeof(temps[0]); k++) {
			int temp = temps[k], rh = k % 2 == 0 ? 1000 : 255;

			if (!dht11)
				read_value(
					&capture, sensor, dht22_value(rh, temp), &random);
			else if (temp >= -200 && temp <= 600)
				read_value(&capture, sensor,
					dht11_value(rh, temp, k % 4 < 2), &random);
		}
		capture_check(&capture, sensor->name);
	}
}

/*
 * A capture that begins at any edge of a transaction: what is whole is read, what is not
 * gives no value, and the next one is read in any case.
 */
static void begin_anywhere(
	const struct family *sensor, struct value value, uint64_t *random)
{
	for (size_t at = 0; at < RATES; at++) {
		struct capture capture;

		capture_begin(&capture, ticks_ns[at]);
		answered(&capture, sensor, value.bytes, random);
		size_t edges = capture.count;
		read_value(&capture, sensor, value, random);
		unanswered(&capture, random);
		fclose(capture.lines);
		for (capture.gone = 1; capture.gone <= edges; capture.gone++) {
			char *out = decode(&capture, sensor->name);
			char *rest = strstr(out, capture.wanted);

			assert_non_null(rest);
			assert_string_equal(rest, capture.wanted);
			*rest = '\0';
			/* The start pulse, and the response whose end is an edge. */
			if (capture.gone <= 4)
				assert_non_null(strstr(out, "\tok\n"));
			else
				assert_null(strstr(out, "\tok\n"));
			assert_null(strstr(out, "recovered"));
			free(out);
		}
		free(capture.wanted);
	}
}

static void test_begins_anywhere(void **state)
{
	(void)state;
	uint64_t random = 7;

	for (size_t i = 0; i < FAMILY; i++) {
		for (int reads = 0; reads < 3; reads++)
			begin_anywhere(
				&family[i], any_value(family[i].model, &random), &random);
	}
}

/* With 64 bits there are 40 after the 24th as well, and here their sum is right. */
static void test_begins_within_long_frame(void **state)
{
	(void)state;
	uint64_t random = 8;

	begin_anywhere(&family[3], dht22_value(509, 1), &random);
	begin_anywhere(&family[3], dht22_value(253, 257), &random);
	begin_anywhere(&family[3], dht22_value(252, 2), &random);
	begin_anywhere(&family[4], dht22_value(509, 1), &random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_around_zero),
		cmocka_unit_test(test_begins_anywhere),
		cmocka_unit_test(test_begins_within_long_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
