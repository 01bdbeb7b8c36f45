#include "ingest/condensed.h"
#include "same_reading.h"
#include "support.h"

#define TEXT 65536
#define SEED 20261125
#define BATCHES 2000

static struct condenser condenser = {.most = TEXT}; /* of all tests, as of all batches */

static size_t join(char *json, const struct dp_reading *readings, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		json[len] = i == 0 ? '[' : ',';
		int written =
			dp_reading_encode(&readings[i], json + len + 1, TEXT - len - 2);
		assert_true(written > 0);
		len += (size_t)written + 1;
	}
	json[len++] = ']';
	return len;
}

/* From a copy of its very size, so that a byte too far is found. */
static void assert_condensed(const struct dp_reading *readings, size_t n)
{
	struct condensed batch;
	bool fresh;
	char *copy = malloc(condenser.len);
	assert_non_null(copy);
	memcpy(copy, condenser.at, condenser.len);
	condensed_open(&batch, copy);
	for (size_t i = 0; i < n; i++) {
		const struct dp_reading *reading = condensed_next(&batch, &fresh);
		assert_same(reading, &readings[i]);
		assert_ptr_equal(reading, &batch.shapes[batch.last]);
	}
	assert_ptr_equal(batch.at, copy + condenser.len);
	free(copy);
}

/* Without an exponent when written; with places that are kept as such, and with more. */
static double draw_value(uint64_t *random)
{
	static const double scales[] = {1, 10, 100, 1000, 10000};
	static const uint64_t limits[] = {2, 1000, 1000000};
	double value = (double)random_below(random, limits[random_below(random, 3)]);
	if (value != 0 && random_below(random, 2) == 0)
		value = -value;
	return value / scales[random_below(random, LENGTH(scales))];
}

static struct dp_reading draw_reading(uint64_t *random)
{
	static const char *const names[] = {"a", "b1", "c-2", "d.d", "e_e", "f", "g", "h",
		"i", "j", "temperature",
		"a-name-that-is-as-long-as-names-may-be-0123456789abcdefghijklmno"};
	static const char *const units[] = {"", "Cel", "%RH", "m/s", "0123456789abcdef"};
	struct dp_reading reading = {.has_time = true,
		.sensor = dp_slice(names[random_below(random, LENGTH(names))]),
		.ts_us = 268435456000000 + (int64_t)random_below(random, 4026531840000000),
		.n = 1 + (unsigned)random_below(random, DP_READING_VALUES)};
	uint64_t name = random_below(random, LENGTH(names));
	for (unsigned v = 0; v < reading.n; v++)
		reading.values[v] =
			(struct dp_value){dp_slice(names[(name + v) % LENGTH(names)]),
				dp_slice(units[random_below(random, LENGTH(units))]),
				draw_value(random)};
	return reading;
}

static void test_what_is_condensed_is_what_was_written(void **state)
{
	(void)state;
	static char json[TEXT];
	uint64_t random = SEED;
	for (int i = 0; i < BATCHES; i++) {
		/* More sensors than are remembered at once, too. */
		struct dp_reading readings[24];
		size_t n = 1 + random_below(&random, LENGTH(readings));
		for (size_t r = 0; r < n; r++)
			readings[r] = r > 2 && random_below(&random, 2) == 0
					      ? readings[r - 2]
					      : draw_reading(&random);
		size_t len = join(json, readings, n);
		assert_int_equal(condense(&condenser, json, len, n), 0);
		assert_true(condenser.len <= len);
		assert_condensed(readings, n);
	}
}

static struct dp_reading reading_at(int64_t s)
{
	return (struct dp_reading){.sensor = dp_slice("c"),
		.has_time = true,
		.ts_us = s * 1000000,
		.n = 1,
		.values = {{dp_slice("t"), dp_slice(""), 1}}};
}

/* No reading takes more than its text, not even the one with the least of it. */
static void test_the_shortest_text_has_room(void **state)
{
	(void)state;
	static char json[TEXT];
	const struct dp_reading reading = reading_at(268435456);
	size_t len = join(json, &reading, 1);
	assert_int_equal(condense(&condenser, json, len, 1), 0);
	assert_true(condenser.len < len);
	assert_condensed(&reading, 1);
}

static void test_names_are_kept_once(void **state)
{
	(void)state;
	static char json[TEXT];
	struct dp_reading readings[100];
	for (int64_t i = 0; i < 100; i++)
		readings[i] = reading_at(1700000000 + i);
	size_t len = join(json, readings, 100);
	assert_int_equal(condense(&condenser, json, len, 100), 0);
	/* A byte for the shape, three or four for a second, one for a value. */
	assert_in_range(condenser.len, 100 * 5, 100 * 6 + 20);
	assert_condensed(readings, 100);
}

static void test_what_is_not_all_of_that_form_stays_as_it_is(void **state)
{
	(void)state;
	static char json[TEXT];
	const struct dp_reading readings[] = {
		reading_at(1700000000), reading_at(1700000001)};
	size_t len = join(json, readings, 2);
	assert_int_equal(condense(&condenser, json, len, 1), -EBADMSG);
	assert_int_equal(condense(&condenser, json, len, 3), -EBADMSG);
	assert_int_equal(condense(&condenser, json, len - 1, 2), -EBADMSG);
	assert_int_equal(condense(&condenser, "", 0, 1), -EBADMSG);
	assert_int_equal(condense(&condenser, "[]", 2, 0), -EBADMSG);
	condenser.most = len - 1;
	assert_int_equal(condense(&condenser, json, len, 2), -EBADMSG);
	condenser.most = len;
	assert_int_equal(condense(&condenser, json, len, 2), 0);
	condenser.most = TEXT;
	assert_condensed(readings, 2);
}

static int finish(void **state)
{
	(void)state;
	condenser_finish(&condenser);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_condensed_is_what_was_written),
		cmocka_unit_test(test_the_shortest_text_has_room),
		cmocka_unit_test(test_names_are_kept_once),
		cmocka_unit_test(test_what_is_not_all_of_that_form_stays_as_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, finish);
}
