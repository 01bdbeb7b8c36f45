#include "dht_line.h"
#include "sampler/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct dht_options dht22 = {.model = DHT_MODEL_DHT22};

#define EDGES_MAX 4096

/* A capture in the making: edges by level, from a line that is high. */
struct capture {
	int64_t t_ns[EDGES_MAX];
	size_t count;
	int first_level;
};

static void edge(struct capture *capture, int64_t t_ns)
{
	assert_true(capture->count < EDGES_MAX);
	capture->t_ns[capture->count++] = t_ns;
}

/* A pulse `us` long in the opposite level, beginning at t_ns. */
static void pulse(struct capture *capture, int64_t t_ns, int64_t us)
{
	edge(capture, t_ns);
	edge(capture, t_ns + us * LINE_US);
}

/* The sensor's answer to a start pulse released at the last edge. */
static void answer(struct capture *capture, struct dht_bytes bytes, int bits)
{
	struct dht_line line =
		dht_line(&shape_am2302, bytes, bits, capture->t_ns[capture->count - 1]);

	for (size_t i = 0; i < line.count; i++) {
		if (i > 0)
			edge(capture, line.rise_ns[i]);
		edge(capture, line.fall_ns[i]);
	}
	edge(capture, line.last_rise_ns);
}

/* Take edges out of the capture. */
static void cut(struct capture *capture, size_t at, size_t n)
{
	capture->count -= n;
	memmove(capture->t_ns + at, capture->t_ns + at + n,
		(capture->count - at) * sizeof(capture->t_ns[0]));
	if (at == 0)
		capture->first_level ^= (int)(n & 1);
}

static struct trace as_trace(struct capture *capture)
{
	return (struct trace){.t_ns = capture->t_ns,
		.count = capture->count,
		.first_level = capture->first_level};
}

static const struct dht_bytes ordinary = {{2, 14, 1, 0, 17}};

/* The next transaction has this time and status, and the ordinary values if it has any. */
static void next_is(const struct trace *trace, size_t *at, int64_t t_ns,
	enum dht_status status, bool ends_within)
{
	struct trace_transaction transaction;
	struct dht_reading reading;
	enum dht_status actual;

	assert_true(trace_next(trace, at, &transaction));
	assert_int_equal(transaction.t_ns, t_ns);
	actual = trace_decode(trace, &transaction, &dht22, &reading);
	assert_string_equal(dht_status_name(actual), dht_status_name(status));
	if (dht_status_has_value(status))
		assert_memory_equal(reading.bytes, ordinary.at, sizeof(ordinary.at));
	assert_int_equal(
		trace_ends_within(trace, &transaction, actual, &reading), ends_within);
}

static void no_more(const struct trace *trace, size_t *at)
{
	struct trace_transaction transaction;

	assert_false(trace_next(trace, at, &transaction));
	assert_false(trace_next(trace, at, &transaction));
}

static int parse(const char *text, struct trace *out, char *why)
{
	why[0] = '\0';
	return trace_parse(text, strlen(text), out, why);
}

static void test_parse(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"t_ns,level\n-5,0\n7,1\n7,0\n",
		"-5,0\n7,1\n7,0",
		"t_ns,level\r\n-5,0\r\n\r\n7,1\r\n7,0\r\n\r\n",
		" t_ns,level \n -5 , 0 \n7,\t1\n+7,0\n",
	};
	char why[TRACE_WHY_MAX];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct trace trace;

		assert_int_equal(parse(texts[i], &trace, why), 0);
		assert_int_equal(trace.count, 3);
		assert_int_equal(trace.t_ns[0], -5);
		assert_int_equal(trace.t_ns[2], 7);
		assert_int_equal(trace_level(&trace, 0), 0);
		assert_int_equal(trace_level(&trace, 1), 1);
		assert_int_equal(trace_level(&trace, 2), 0);
		assert_int_equal(trace.cut_line, 0);
		trace_finish(&trace);
		assert_null(trace.t_ns);
		assert_int_equal(trace.count, 0);
	}
}

static void test_parse_refuses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "line 1: the capture has no edge"},
		{"t_ns,level\n", "line 1: the capture has no edge"},
		{"hello\n", "line 1: time is no whole number of nanoseconds: \"hello\""},
		{"t_ns,level\n1,0\nx,1\n",
			"line 3: time is no whole number of nanoseconds: \"x,1\""},
		{"1,0\n2.5,1\n",
			"line 2: time is no whole number of nanoseconds: \"2.5,1\""},
		{"1,0\n1e9,1\n",
			"line 2: time is no whole number of nanoseconds: \"1e9,1\""},
		{"1,0\n0x10,1\n",
			"line 2: time is no whole number of nanoseconds: \"0x10,1\""},
		{"1,0\n9223372036854775808,1\n",
			"line 2: time is no whole number of nanoseconds: "
			"\"9223372036854775808,1\""},
		{"1,0\n2,2\n", "line 2: level must be 0 or 1: \"2,2\""},
		{"1,0\n2,-1\n", "line 2: level must be 0 or 1: \"2,-1\""},
		{"1,0\n2,1,0\n", "line 2: level must be 0 or 1: \"2,1,0\""},
		{"1,0\n2,10\n", "line 2: level must be 0 or 1: \"2,10\""},
		{"1,0\n2\n3,0\n", "line 2: no level: \"2\""},
		{"1,0\n2,\n3,0\n", "line 2: no level: \"2,\""},
		{"1,0\n2,0\n", "line 2: level is that of the edge before: \"2,0\""},
		{"5,0\n4,1\n", "line 2: time runs backwards: \"4,1\""},
		{"1,0\nt_ns,level\n", "line 2: header in the middle: \"t_ns,level\""},
		{"1,0\n\x01\xff,1\n",
			"line 2: time is no whole number of nanoseconds: \"?\?,1\""},
		{"1,0\n                                                         2,1\n",
			"line 2: no row t_ns,level: \"                           \""},
	};
	char why[TRACE_WHY_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace trace;

		assert_int_equal(parse(cases[i].text, &trace, why), -EBADMSG);
		assert_string_equal(why, cases[i].why);
		assert_null(trace.t_ns);
	}
}

static void test_parse_zero_byte(void **state)
{
	(void)state;
	static const char text[] = "1,0\n2,1\0 and more\n";
	char why[TRACE_WHY_MAX];
	struct trace trace;

	assert_int_equal(trace_parse(text, sizeof(text) - 1, &trace, why), -EBADMSG);
	assert_string_equal(why, "line 2: no row t_ns,level: \"2,1\"");
}

static void test_parse_cut_row(void **state)
{
	(void)state;
	static const char *const texts[] = {"1,0\n2,1\n-", "1,0\n2,1\n30", "1,0\n2,1\n30,"};
	char why[TRACE_WHY_MAX];
	struct trace trace;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(parse(texts[i], &trace, why), 0);
		assert_int_equal(trace.count, 2);
		assert_int_equal(trace.cut_line, 3);
		assert_int_equal(trace.last_line, 2);
		trace_finish(&trace);
	}
	assert_int_equal(parse("1,0\nx", &trace, why), -EBADMSG);
	assert_int_equal(parse("30", &trace, why), -EBADMSG);
}

static void test_parse_size(void **state)
{
	(void)state;
	size_t size = (size_t)(TRACE_EDGES_MAX + 1) * 10;
	char *text = malloc(size), why[TRACE_WHY_MAX];
	struct trace trace;
	size_t len = 0, full = 0;

	assert_non_null(text);
	for (int i = 0; i <= TRACE_EDGES_MAX; i++) {
		full = len;
		len += (size_t)snprintf(text + len, size - len, "%d,%d\n", i, i & 1);
	}
	assert_int_equal(trace_parse(text, full, &trace, why), 0);
	assert_int_equal(trace.count, TRACE_EDGES_MAX);
	trace_finish(&trace);
	assert_int_equal(trace_parse(text, len, &trace, why), -EFBIG);
	assert_string_equal(why, "line 1000001: more than 1000000 edges");
	free(text);
}

static void test_transactions(void **state)
{
	(void)state;
	struct capture capture = {0};
	size_t at = 0;

	/* Answered, unanswered, too short for a sensor, answered with 64 bits. */
	pulse(&capture, 1000 * LINE_US, 20000);
	answer(&capture, ordinary, 40);
	pulse(&capture, 300000 * LINE_US, 20000);
	pulse(&capture, 800000 * LINE_US, 100);
	pulse(&capture, 1300000 * LINE_US, 966);
	answer(&capture, ordinary, 64);

	struct trace trace = as_trace(&capture);
	next_is(&trace, &at, 1000 * LINE_US, DHT_OK, false);
	next_is(&trace, &at, 300000 * LINE_US, DHT_NO_RESPONSE, false);
	next_is(&trace, &at, 800000 * LINE_US, DHT_NO_RESPONSE, false);
	next_is(&trace, &at, 1300000 * LINE_US, DHT_OK, false);
	no_more(&trace, &at);
}

static void test_begins_within_start_pulse(void **state)
{
	(void)state;
	struct capture capture = {.first_level = 1};
	size_t at = 0;

	edge(&capture, 5000 * LINE_US);
	answer(&capture, ordinary, 40);
	pulse(&capture, 300000 * LINE_US, 20000);
	answer(&capture, ordinary, 40);

	struct trace trace = as_trace(&capture);
	next_is(&trace, &at, 5000 * LINE_US, DHT_OK, false);
	next_is(&trace, &at, 300000 * LINE_US, DHT_OK, false);
	no_more(&trace, &at);

	/* The same, unanswered. */
	cut(&capture, 1, 85 - 1);
	trace = as_trace(&capture);
	at = 0;
	next_is(&trace, &at, 5000 * LINE_US, DHT_NO_RESPONSE, false);
	next_is(&trace, &at, 300000 * LINE_US, DHT_OK, false);
	no_more(&trace, &at);
}

static void test_begins_within_frame(void **state)
{
	(void)state;
	struct capture whole = {0};

	pulse(&whole, 1000 * LINE_US, 20000);
	answer(&whole, ordinary, 40);
	pulse(&whole, 300000 * LINE_US, 20000);
	answer(&whole, ordinary, 40);
	for (size_t gone = 1; gone < 86; gone++) {
		struct capture capture = whole;
		size_t at = 0;

		cut(&capture, 0, gone);
		struct trace trace = as_trace(&capture);
		/* Before the end of the response all is there; a few edges are noise. */
		if (gone <= 4)
			next_is(&trace, &at, capture.t_ns[0], DHT_OK, false);
		else if (gone % 2 == 1)
			next_is(&trace, &at, capture.t_ns[0],
				gone == 85 ? DHT_NO_RESPONSE : DHT_SHORT, false);
		else if (gone <= 66)
			next_is(&trace, &at, capture.t_ns[0], DHT_SHORT, false);
		next_is(&trace, &at, 300000 * LINE_US, DHT_OK, false);
		no_more(&trace, &at);
	}
}

static void test_ends_within(void **state)
{
	(void)state;
	struct capture whole = {0};

	pulse(&whole, 1000 * LINE_US, 20000);
	answer(&whole, ordinary, 64);
	pulse(&whole, 300000 * LINE_US, 20000);
	answer(&whole, ordinary, 40);
	for (size_t left = 134 + 1; left < whole.count; left++) {
		struct capture capture = whole;
		size_t at = 0;

		capture.count = left;
		struct trace trace = as_trace(&capture);
		next_is(&trace, &at, 1000 * LINE_US, DHT_OK, false);
		/* Nothing shows yet that the start pulse is one, or is answered. */
		if (left == 134 + 2)
			next_is(&trace, &at, 300000 * LINE_US, DHT_NO_RESPONSE, false);
		else if (left > 134 + 2)
			next_is(&trace, &at, 300000 * LINE_US,
				left == whole.count - 1 ? DHT_OK : DHT_SHORT, true);
		no_more(&trace, &at);
	}
	/* In the zeros that trail: there is a value, and still something is missing. */
	for (size_t left = 88; left < 134; left++) {
		struct capture capture = whole;
		size_t at = 0;

		capture.count = left;
		struct trace trace = as_trace(&capture);
		next_is(&trace, &at, 1000 * LINE_US, DHT_OK, true);
		no_more(&trace, &at);
	}
}

static void test_missing_leading_edges(void **state)
{
	(void)state;

	for (size_t missed = 0; missed <= 7; missed++) {
		struct capture capture = {0};
		size_t at = 0;

		pulse(&capture, 1000 * LINE_US, 20000);
		answer(&capture, ordinary, 40);
		cut(&capture, 2, 2 * (missed + 1));
		pulse(&capture, 300000 * LINE_US, 20000);
		struct trace trace = as_trace(&capture);
		next_is(&trace, &at, 1000 * LINE_US,
			missed == 0   ? DHT_OK
			: missed <= 6 ? DHT_RECOVERED
				      : DHT_SHORT,
			false);
		next_is(&trace, &at, 300000 * LINE_US, DHT_NO_RESPONSE, false);
		no_more(&trace, &at);
	}
}

/* A pulse of ns nanoseconds, ns / 2 after edge i. */
static void glitch(struct capture *capture, size_t i, int64_t ns)
{
	int64_t t = capture->t_ns[i] + ns / 2 + 8 * LINE_US;

	assert_true(t + ns < capture->t_ns[i + 1]);
	memmove(capture->t_ns + i + 3, capture->t_ns + i + 1,
		(capture->count - i - 1) * sizeof(capture->t_ns[0]));
	capture->t_ns[i + 1] = t;
	capture->t_ns[i + 2] = t + ns;
	capture->count += 2;
}

static void test_glitches(void **state)
{
	(void)state;

	/* In the start pulse, after the release, and in each part of the frame. */
	for (size_t i = 0; i < 84; i++) {
		struct capture capture = {0};
		size_t at = 0;

		pulse(&capture, 1000 * LINE_US, 20000);
		answer(&capture, ordinary, 40);
		glitch(&capture, i, 250);
		struct trace trace = as_trace(&capture);
		next_is(&trace, &at, 1000 * LINE_US, i == 0 ? DHT_OK : DHT_RECOVERED,
			false);
		no_more(&trace, &at);
	}
	/* Ten microseconds are not a glitch: whatever it was, it is not decoded. */
	for (size_t i = 8; i < 85; i += 11) {
		struct capture capture = {0};
		size_t at = 0;

		pulse(&capture, 1000 * LINE_US, 20000);
		answer(&capture, ordinary, 40);
		glitch(&capture, i, 6000);
		struct trace trace = as_trace(&capture);
		next_is(&trace, &at, 1000 * LINE_US, DHT_SYNC, true);
	}
}

static void test_glitches_on_idle_line(void **state)
{
	(void)state;
	struct capture capture = {0};
	size_t at = 0;

	pulse(&capture, 1000 * LINE_US, 3);
	pulse(&capture, 50000 * LINE_US, 60);
	pulse(&capture, 100000 * LINE_US, 20000);
	answer(&capture, ordinary, 40);
	pulse(&capture, 200000 * LINE_US, 3);
	pulse(&capture, 300000 * LINE_US, 20000);
	pulse(&capture, 400000 * LINE_US, 3);

	struct trace trace = as_trace(&capture);
	next_is(&trace, &at, 100000 * LINE_US, DHT_OK, false);
	next_is(&trace, &at, 300000 * LINE_US, DHT_NO_RESPONSE, false);
	no_more(&trace, &at);
}

static void test_extreme_times(void **state)
{
	(void)state;
	struct capture capture = {0};
	size_t at = 0;

	pulse(&capture, INT64_MIN, 20000);
	answer(&capture, ordinary, 40);
	pulse(&capture, INT64_MAX - 25000 * LINE_US, 20000);
	answer(&capture, ordinary, 40);
	struct trace trace = as_trace(&capture);
	next_is(&trace, &at, INT64_MIN, DHT_OK, false);
	next_is(&trace, &at, INT64_MAX - 25000 * LINE_US, DHT_OK, false);
	no_more(&trace, &at);
}

/* Anything at all: no crash, it ends, and the transactions stand in order. */
static void test_random_edges(void **state)
{
	(void)state;
	static const uint64_t spans_us[] = {3, 30, 100, 150, 400, 2000, 30000};
	uint64_t random = 99;

	for (int i = 0; i < 3000; i++) {
		struct capture capture = {.first_level = (int)(line_random(&random) % 2)};
		struct trace_transaction transaction;
		size_t count = 1 + line_random(&random) % 500, at = 0, last_end = 0;
		int64_t t = 0;

		for (size_t k = 0; k < count; k++) {
			uint64_t span = line_random(&random) % 8 == 0
						? spans_us[line_random(&random) % 7]
						: 90;

			t += (int64_t)(line_random(&random) % (span * 1000));
			edge(&capture, t);
		}
		struct trace trace = as_trace(&capture);
		while (trace_next(&trace, &at, &transaction)) {
			struct dht_reading reading;
			enum dht_status status =
				trace_decode(&trace, &transaction, &dht22, &reading);

			assert_true(transaction.first >= last_end);
			assert_true(transaction.end >= transaction.first);
			assert_true(transaction.end <= trace.count);
			assert_false(dht_status_has_value(status));
			(void)trace_ends_within(&trace, &transaction, status, &reading);
			last_end = transaction.end;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_zero_byte),
		cmocka_unit_test(test_parse_cut_row),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_begins_within_start_pulse),
		cmocka_unit_test(test_begins_within_frame),
		cmocka_unit_test(test_ends_within),
		cmocka_unit_test(test_missing_leading_edges),
		cmocka_unit_test(test_glitches),
		cmocka_unit_test(test_glitches_on_idle_line),
		cmocka_unit_test(test_extreme_times),
		cmocka_unit_test(test_random_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
