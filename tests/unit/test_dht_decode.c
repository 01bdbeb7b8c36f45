#include "dht_line.h"
#include "sampler/dht_decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct dht_options dht22 = {.model = DHT_MODEL_DHT22};
static const struct dht_options dht11 = {.model = DHT_MODEL_DHT11};

static enum dht_status decode(const struct dht_options *options,
	const struct dht_line *line, struct dht_reading *out)
{
	return dht_line_decode(options, line, false, out);
}

#define assert_status(actual, wanted)                                                      \
	assert_string_equal(dht_status_name(actual), dht_status_name(wanted))

/* The sensor sends these bytes, and this is what comes of it. */
static void check_bytes(const struct dht_options *options, struct dht_bytes bytes,
	enum dht_status status, int32_t rh_mpct, int32_t temp_mdegc)
{
	const struct dht_shape *shape =
		options->model == DHT_MODEL_DHT11 ? &shape_dht11 : &shape_am2302;
	struct dht_line line = dht_line(shape, bytes, 40, 1000 * LINE_US);
	struct dht_reading out;

	for (int both = 0; both < 2; both++) {
		assert_status(dht_line_decode(options, &line, both, &out), status);
		assert_int_equal(out.rh_mpct, rh_mpct);
		assert_int_equal(out.temp_mdegc, temp_mdegc);
		assert_memory_equal(out.bytes, bytes.at, sizeof(bytes.at));
	}
}

static void test_names(void **state)
{
	(void)state;
	static const char *const names[] = {"DHT22", "Am2301", "am2302", "AM2303", "am2320",
		"am2321", "am2322", "RHT03", "dht21"};
	enum dht_model model;

	assert_true(dht_model_find("dht11", &model));
	assert_int_equal(model, DHT_MODEL_DHT11);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(dht_model_find(names[i], &model));
		assert_int_equal(model, DHT_MODEL_DHT22);
	}
	assert_false(dht_model_find("dht1", &model));
	assert_false(dht_model_find("dht111", &model));
	assert_false(dht_model_find("", &model));
	assert_string_equal(dht_status_name(DHT_NO_RESPONSE), "no-response");
}

static void test_dht22_values(void **state)
{
	(void)state;
	check_bytes(&dht22, dht_bytes(2, 14, 1, 0), DHT_OK, 52600, 25600);
	check_bytes(&dht22, dht_bytes(2, 14, 0x80, 101), DHT_OK, 52600, -10100);
	check_bytes(&dht22, dht_bytes(2, 14, 0x80, 1), DHT_OK, 52600, -100);
	check_bytes(&dht22, dht_bytes(2, 14, 0x80, 0), DHT_OK, 52600, 0);
	check_bytes(&dht22, dht_bytes(0, 0, 0, 201), DHT_OK, 0, 20100);
	/* The limits: 100 %, -40 and 80 degrees. */
	check_bytes(&dht22, dht_bytes(3, 232, 1, 0), DHT_OK, 100000, 25600);
	check_bytes(&dht22, dht_bytes(3, 233, 1, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(2, 14, 3, 32), DHT_OK, 52600, 80000);
	check_bytes(&dht22, dht_bytes(2, 14, 3, 33), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(2, 14, 0x81, 144), DHT_OK, 52600, -40000);
	check_bytes(&dht22, dht_bytes(2, 14, 0x81, 145), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(255, 255, 255, 255), DHT_RANGE, 0, 0);
	/* A DHT11 taken for a DHT22. */
	check_bytes(&dht22, dht_bytes(36, 0, 27, 0), DHT_RANGE, 0, 0);
}

static void test_twos_complement(void **state)
{
	(void)state;
	const struct dht_options clone = {
		.model = DHT_MODEL_DHT22, .twos_complement = true};

	check_bytes(&clone, dht_bytes(2, 14, 0xff, 0xff), DHT_OK, 52600, -100);
	check_bytes(&clone, dht_bytes(2, 14, 0xff, 0x9b), DHT_OK, 52600, -10100);
	check_bytes(&clone, dht_bytes(2, 14, 1, 0), DHT_OK, 52600, 25600);
	/* Neither form is possible in the other. */
	check_bytes(&clone, dht_bytes(2, 14, 0x80, 101), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(2, 14, 0xff, 0x9b), DHT_RANGE, 0, 0);
}

static void test_dht11_values(void **state)
{
	(void)state;
	check_bytes(&dht11, dht_bytes(36, 0, 27, 0), DHT_OK, 36000, 27000);
	check_bytes(&dht11, dht_bytes(36, 9, 27, 3), DHT_OK, 36900, 27300);
	/* The sign stands with the tenths or with the degrees. */
	check_bytes(&dht11, dht_bytes(36, 0, 10, 0x81), DHT_OK, 36000, -10100);
	check_bytes(&dht11, dht_bytes(36, 0, 0x8a, 1), DHT_OK, 36000, -10100);
	check_bytes(&dht11, dht_bytes(36, 0, 0, 0x83), DHT_OK, 36000, -300);
	check_bytes(&dht11, dht_bytes(100, 0, 60, 0), DHT_OK, 100000, 60000);
	check_bytes(&dht11, dht_bytes(100, 1, 60, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht11, dht_bytes(100, 0, 60, 1), DHT_RANGE, 0, 0);
	check_bytes(&dht11, dht_bytes(36, 0, 20, 0x80), DHT_OK, 36000, -20000);
	check_bytes(&dht11, dht_bytes(36, 0, 20, 0x81), DHT_RANGE, 0, 0);
	/* Tenths are 0 to 9. This one is a DHT22 taken for a DHT11. */
	check_bytes(&dht11, dht_bytes(2, 14, 1, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht11, dht_bytes(36, 0, 27, 10), DHT_RANGE, 0, 0);
}

static void test_junk(void **state)
{
	(void)state;
	check_bytes(&dht11, dht_bytes(0, 0, 0, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht11, dht_bytes(1, 0, 0, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht11, dht_bytes(2, 0, 0, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht11, dht_bytes(20, 0, 0, 0), DHT_OK, 20000, 0);
	check_bytes(&dht22, dht_bytes(0, 0, 0, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(0, 10, 0, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(0, 20, 0, 0), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(0, 10, 0, 1), DHT_RANGE, 0, 0);
	check_bytes(&dht22, dht_bytes(0, 200, 0, 0), DHT_OK, 20000, 0);
}

static void test_checksum(void **state)
{
	(void)state;
	const struct dht_options half = {
		.model = DHT_MODEL_DHT11, .two_byte_checksum = true};
	struct dht_bytes bytes = dht_bytes(2, 14, 1, 0);

	bytes.at[4] ^= 0x20;
	check_bytes(&dht22, bytes, DHT_CHECKSUM, 0, 0);
	/* Bytes 1 and 3 are not covered, so not used; but a sign is. */
	check_bytes(&half, (struct dht_bytes){{36, 5, 27, 5, 63}}, DHT_OK, 36000, 27000);
	check_bytes(&half, (struct dht_bytes){{36, 5, 5, 0x85, 41}}, DHT_OK, 36000, -5000);
	check_bytes(&half, (struct dht_bytes){{36, 5, 27, 5, 73}}, DHT_CHECKSUM, 0, 0);
	check_bytes(&dht11, (struct dht_bytes){{36, 5, 27, 5, 63}}, DHT_CHECKSUM, 0, 0);
}

static void test_no_response(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	line.release_ns -= 5000 * LINE_US;
	assert_status(decode(&dht22, &line, &out), DHT_NO_RESPONSE);
	assert_int_equal(out.falls, 0);
	line.release_ns += 5000 * LINE_US;
	line.count = 0;
	assert_status(decode(&dht22, &line, &out), DHT_NO_RESPONSE);
}

static void test_short(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	for (line.count = 41; line.count > 0; line.count--) {
		assert_status(decode(&dht22, &line, &out), DHT_SHORT);
		assert_int_equal(out.falls, line.count);
		assert_int_equal(out.temp_mdegc, 0);
	}
	/* As a board whose pin filters pulses shows it: every second edge. */
	line = dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	for (size_t i = 0; i < 21; i++)
		line.fall_ns[i] = line.fall_ns[2 * i];
	line.count = 21;
	assert_status(decode(&dht22, &line, &out), DHT_SHORT);
	assert_int_equal(out.falls, 21);
}

static void test_first_edge_missing(void **state)
{
	(void)state;
	static const int lengths[] = {40, 64};
	struct dht_reading out;

	/* Not a loss: the first edge comes before any kernel can watch the line. */
	for (size_t i = 0; i < 2; i++) {
		struct dht_line line = dht_line(
			&shape_am2301, dht_bytes(2, 14, 1, 0), lengths[i], 1000 * LINE_US);
		dht_line_behead(&line, 1);
		assert_status(decode(&dht22, &line, &out), DHT_OK);
		assert_int_equal(out.rh_mpct, 52600);
		line.release_ns = DHT_RELEASE_UNKNOWN;
		assert_status(decode(&dht22, &line, &out), DHT_OK);
	}
}

static void test_recovery(void **state)
{
	(void)state;
	static const int lengths[] = {40, 64};
	struct dht_reading out;

	for (size_t i = 0; i < 2; i++) {
		for (size_t missed = 1; missed <= 7; missed++) {
			struct dht_line line = dht_line(&shape_am2301,
				dht_bytes(2, 14, 0x80, 7), lengths[i], 1000 * LINE_US);
			enum dht_status failure = lengths[i] == 40 ? DHT_SHORT : DHT_SYNC;

			dht_line_behead(&line, 1 + missed);
			assert_status(decode(&dht22, &line, &out),
				missed <= 6 ? DHT_RECOVERED : failure);
			assert_int_equal(out.temp_mdegc, missed <= 6 ? -700 : 0);
			assert_int_equal(out.rh_mpct, missed <= 6 ? 52600 : 0);
			assert_int_equal(out.missed, missed <= 6 ? missed : 0);
			/* Without the time of the release nothing tells head from tail. */
			line.release_ns = DHT_RELEASE_UNKNOWN;
			assert_status(decode(&dht22, &line, &out), failure);
		}
	}
	for (size_t missed = 1; missed <= 2; missed++) {
		struct dht_line line =
			dht_line(&shape_dht11, dht_bytes(66, 0, 27, 0), 40, 1000 * LINE_US);

		dht_line_behead(&line, 1 + missed);
		assert_status(decode(&dht11, &line, &out),
			missed == 1 ? DHT_RECOVERED : DHT_SHORT);
		assert_int_equal(out.rh_mpct, missed == 1 ? 66000 : 0);
	}
}

/* A DHT11's frame of even bytes, shifted by one bit, has a right checksum. */
static void test_no_recovery_of_lost_tail(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_dht11, dht_bytes(40, 0, 24, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	dht_line_behead(&line, 1);
	line.count--;
	assert_status(decode(&dht11, &line, &out), DHT_SHORT);
}

/* Recovered frames have less noise to spare. */
static void test_recovery_is_stricter(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	for (size_t i = 3; i < line.count; i += 2)
		line.fall_ns[i] += 7 * LINE_US;
	assert_status(decode(&dht22, &line, &out), DHT_OK);
	dht_line_behead(&line, 2);
	assert_status(decode(&dht22, &line, &out), DHT_SHORT);
	dht_line_behead(&line, 1);
	assert_status(decode(&dht22, &line, &out), DHT_SHORT);
}

static void test_long_frame(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_am2301, dht_bytes(2, 14, 0x80, 5), 64, 1000 * LINE_US);
	struct dht_reading out;

	assert_status(decode(&dht22, &line, &out), DHT_OK);
	assert_int_equal(out.temp_mdegc, -500);
	assert_int_equal(out.falls, 66);
	assert_int_equal(out.bits, 64);
	/* What trails does not matter, whatever it is. */
	for (size_t i = 45; i < line.count; i++)
		line.fall_ns[i] += (int64_t)i * 3 * LINE_US;
	line.count--;
	assert_status(decode(&dht22, &line, &out), DHT_OK);
}

static void test_edges_after_the_frame(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	for (int i = 0; i < 30; i++) {
		line.fall_ns[line.count] = line.fall_ns[line.count - 1] + 2000 * LINE_US;
		line.rise_ns[line.count] = line.fall_ns[line.count] - 10 * LINE_US;
		line.count++;
	}
	assert_status(dht_line_decode(&dht22, &line, true, &out), DHT_OK);
	assert_int_equal(out.falls, 42);
}

/* An interval between 0 and 1, or out of both, in a quiet frame with a right checksum. */
static void test_sync(void **state)
{
	(void)state;
	static const struct {
		size_t bit;
		int us;
		bool good;
	} cases[] = {
		/* bit 2 is a 0 of 80, bit 6 a 1 of 127, bit 16 a 0 of 93 */
		{2, 58, false},
		{2, 64, false},
		{2, 66, true},
		{2, 100, true},
		{2, 106, false},
		{2, 108, false},
		{2, 111, false},
		{2, 180, false},
		{2, 900, false},
		{6, 107, false},
		{6, 111, false},
		{6, 113, true},
		{6, 149, true},
		{6, 151, false},
		{6, 170, false},
		{16, 104, true},
		{16, 106, false},
		{16, 110, false},
		{16, 0, false},
	};
	struct dht_reading out;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dht_line line =
			dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
		size_t bit = cases[i].bit;
		int64_t us = (line.fall_ns[bit + 2] - line.fall_ns[bit + 1]) / LINE_US;

		dht_line_stretch(&line, bit, cases[i].us - us);
		assert_status(
			decode(&dht22, &line, &out), cases[i].good ? DHT_OK : DHT_SYNC);
		if (cases[i].good)
			assert_int_equal(out.rh_mpct, 52600);
	}
}

/* A whole frame between 0 and 1 is no more in sync than a single bit. */
static void test_sync_of_all_bits(void **state)
{
	(void)state;
	static const struct dht_shape slow = {79, 81, 80, 80, 28, 75};
	static const struct dht_shape fast = {79, 81, 35, 35, 24, 71};
	struct dht_line line = dht_line(&slow, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	assert_status(decode(&dht22, &line, &out), DHT_SYNC);
	line = dht_line(&fast, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	assert_status(decode(&dht22, &line, &out), DHT_SYNC);
}

/* One edge 40 us late turns 01 into 10, and two such an even sum: never in doubt. */
static void test_highs_contradict(void **state)
{
	(void)state;
	struct dht_line line =
		dht_line(&shape_am2302, dht_bytes(2, 0x41, 1, 0), 40, 1000 * LINE_US);
	struct dht_reading out;

	assert_int_equal(dht_bit(dht_bytes(2, 0x41, 1, 0x41), 8 + 1), 1);
	line.fall_ns[8 + 2] += 46 * LINE_US;
	line.fall_ns[32 + 2] += 46 * LINE_US;
	assert_status(dht_line_decode(&dht22, &line, true, &out), DHT_SYNC);
	/* Highs alone out of place, too. */
	line = dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, 1000 * LINE_US);
	line.rise_ns[5] -= 40 * LINE_US;
	assert_status(dht_line_decode(&dht22, &line, true, &out), DHT_SYNC);
	assert_status(decode(&dht22, &line, &out), DHT_OK);
}

static void test_extreme_times(void **state)
{
	(void)state;
	struct dht_line line = dht_line(
		&shape_am2302, dht_bytes(2, 14, 1, 0), 40, INT64_MAX - 3900 * LINE_US);
	struct dht_reading out;

	assert_true(line.fall_ns[41] > INT64_MAX - 200 * LINE_US);
	assert_status(decode(&dht22, &line, &out), DHT_OK);
	line = dht_line(&shape_am2302, dht_bytes(2, 14, 1, 0), 40, INT64_MIN + 1);
	assert_status(dht_line_decode(&dht22, &line, true, &out), DHT_OK);
	for (size_t i = 20; i < line.count; i++)
		line.fall_ns[i] = INT64_MAX;
	assert_status(dht_line_decode(&dht22, &line, true, &out), DHT_SHORT);
	for (size_t i = 0; i < line.count; i++)
		line.fall_ns[i] = INT64_MAX - (int64_t)i * 80 * LINE_US;
	line.release_ns = DHT_RELEASE_UNKNOWN;
	assert_status(dht_line_decode(&dht22, &line, true, &out), DHT_SYNC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_dht22_values),
		cmocka_unit_test(test_twos_complement),
		cmocka_unit_test(test_dht11_values),
		cmocka_unit_test(test_junk),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_no_response),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_first_edge_missing),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_no_recovery_of_lost_tail),
		cmocka_unit_test(test_recovery_is_stricter),
		cmocka_unit_test(test_long_frame),
		cmocka_unit_test(test_edges_after_the_frame),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_sync_of_all_bits),
		cmocka_unit_test(test_highs_contradict),
		cmocka_unit_test(test_extreme_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
