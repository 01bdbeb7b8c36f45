#include "intervals.h"
#include "support.h"

#include <stdbool.h>

/* The ranges as text: `1-3 5-5`. */
static void assert_ranges(const struct dp_intervals *set, const char *expected)
{
	char text[1024] = "";
	size_t len = 0;
	for (size_t i = 0; i < set->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%llu-%llu",
			i > 0 ? " " : "", (unsigned long long)set->at[i].first,
			(unsigned long long)set->at[i].last);
	assert_string_equal(text, expected);
}

static void add(struct dp_intervals *set, uint64_t first, uint64_t last)
{
	assert_int_equal(dp_intervals_add(set, first, last), 0);
}

static void take(struct dp_intervals *set, uint64_t first, uint64_t last)
{
	assert_int_equal(dp_intervals_remove(set, first, last), 0);
}

static void test_the_empty_set_has_nothing(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	struct dp_interval gap;
	assert_false(dp_intervals_contains(&set, 0));
	assert_false(dp_intervals_contains(&set, UINT64_MAX));
	assert_false(dp_intervals_joins(&set, 0, UINT64_MAX));
	assert_true(dp_intervals_missing(&set, 3, 9, &gap));
	assert_true(gap.first == 3 && gap.last == 9);
	take(&set, 0, UINT64_MAX);
	assert_ranges(&set, "");
	dp_intervals_finish(&set);
}

static void test_ranges_that_touch_become_one(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	add(&set, 5, 6);
	assert_ranges(&set, "5-6");
	add(&set, 8, 9);
	assert_ranges(&set, "5-6 8-9");
	add(&set, 7, 7);
	assert_ranges(&set, "5-9");
	add(&set, 4, 4);
	assert_ranges(&set, "4-9");
	add(&set, 10, 10);
	assert_ranges(&set, "4-10");
	add(&set, 12, 12);
	assert_ranges(&set, "4-10 12-12");
	add(&set, 1, 2);
	assert_ranges(&set, "1-2 4-10 12-12");
	dp_intervals_finish(&set);
}

static void test_overlapping_ranges_are_merged(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	add(&set, 10, 20);
	add(&set, 30, 40);
	add(&set, 50, 60);
	add(&set, 15, 18);
	assert_ranges(&set, "10-20 30-40 50-60");
	add(&set, 35, 52);
	assert_ranges(&set, "10-20 30-60");
	add(&set, 0, 100);
	assert_ranges(&set, "0-100");
	dp_intervals_finish(&set);
}

static void test_removing_cuts_splits_and_drops(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	add(&set, 1, 100);
	take(&set, 40, 60);
	assert_ranges(&set, "1-39 61-100");
	take(&set, 1, 1);
	take(&set, 100, 100);
	assert_ranges(&set, "2-39 61-99");
	take(&set, 30, 70);
	assert_ranges(&set, "2-29 71-99");
	take(&set, 30, 70);
	assert_ranges(&set, "2-29 71-99");
	take(&set, 0, 29);
	assert_ranges(&set, "71-99");
	take(&set, 71, 99);
	assert_ranges(&set, "");
	dp_intervals_finish(&set);
}

static void test_the_first_gap_is_found(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	struct dp_interval gap;
	add(&set, 5, 9);
	add(&set, 20, 29);
	assert_true(dp_intervals_missing(&set, 1, 100, &gap));
	assert_true(gap.first == 1 && gap.last == 4);
	assert_true(dp_intervals_missing(&set, 5, 100, &gap));
	assert_true(gap.first == 10 && gap.last == 19);
	assert_true(dp_intervals_missing(&set, 7, 12, &gap));
	assert_true(gap.first == 10 && gap.last == 12);
	assert_true(dp_intervals_missing(&set, 25, 100, &gap));
	assert_true(gap.first == 30 && gap.last == 100);
	assert_false(dp_intervals_missing(&set, 5, 9, &gap));
	assert_false(dp_intervals_missing(&set, 22, 22, &gap));
	dp_intervals_finish(&set);
}

static void test_the_ends_of_the_numbers_are_numbers_too(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	struct dp_interval gap;
	add(&set, 0, 0);
	add(&set, UINT64_MAX, UINT64_MAX);
	assert_ranges(&set, "0-0 18446744073709551615-18446744073709551615");
	assert_true(dp_intervals_contains(&set, 0));
	assert_true(dp_intervals_contains(&set, UINT64_MAX));
	assert_false(dp_intervals_contains(&set, 1));
	assert_true(dp_intervals_missing(&set, 0, UINT64_MAX, &gap));
	assert_true(gap.first == 1 && gap.last == UINT64_MAX - 1);
	add(&set, UINT64_MAX - 1, UINT64_MAX);
	assert_ranges(&set, "0-0 18446744073709551614-18446744073709551615");
	add(&set, 0, UINT64_MAX);
	assert_ranges(&set, "0-18446744073709551615");
	assert_false(dp_intervals_missing(&set, 0, UINT64_MAX, &gap));
	take(&set, UINT64_MAX, UINT64_MAX);
	take(&set, 0, 0);
	assert_ranges(&set, "1-18446744073709551614");
	dp_intervals_finish(&set);
}

static void test_joining_means_not_becoming_more_ranges(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	add(&set, 10, 20);
	add(&set, 30, 40);
	assert_true(dp_intervals_joins(&set, 9, 9));
	assert_true(dp_intervals_joins(&set, 21, 21));
	assert_true(dp_intervals_joins(&set, 21, 29));
	assert_true(dp_intervals_joins(&set, 15, 16));
	assert_true(dp_intervals_joins(&set, 0, 100));
	assert_false(dp_intervals_joins(&set, 0, 8));
	assert_false(dp_intervals_joins(&set, 22, 28));
	assert_false(dp_intervals_joins(&set, 42, 42));
	dp_intervals_finish(&set);
}

static void test_clearing_keeps_the_memory_and_finishing_gives_it_back(void **state)
{
	(void)state;
	struct dp_intervals set = {.at = NULL};
	for (uint64_t i = 0; i < 100; i++)
		add(&set, 2 * i, 2 * i);
	assert_int_equal(set.n, 100);
	size_t size = set.size;
	dp_intervals_clear(&set);
	assert_ranges(&set, "");
	assert_int_equal(set.size, size);
	add(&set, 1, 1);
	assert_ranges(&set, "1-1");
	dp_intervals_finish(&set);
	assert_null(set.at);
	assert_int_equal(set.n + set.size, 0);
}

/* ---- the same operations on a bitmap ---- */

#define NUMBERS 192

struct model {
	uint64_t base;
	bool has[NUMBERS];
};

static bool model_joins(const struct model *model, unsigned first, unsigned last)
{
	for (unsigned i = first > 0 ? first - 1 : 0; i <= last + 1 && i < NUMBERS; i++) {
		if (model->has[i])
			return true;
	}
	return false;
}

static void check_ranges(const struct dp_intervals *set, const struct model *model)
{
	size_t range = 0;
	for (unsigned i = 0; i < NUMBERS; i++) {
		assert_int_equal(
			dp_intervals_contains(set, model->base + i), model->has[i]);
		if (!model->has[i])
			continue;
		assert_true(range < set->n);
		assert_true(set->at[range].first == model->base + i);
		while (i + 1 < NUMBERS && model->has[i + 1])
			i++;
		assert_true(set->at[range].last == model->base + i);
		range++;
	}
	assert_int_equal(set->n, range);
}

static void check_missing(const struct dp_intervals *set, const struct model *model,
	unsigned first, unsigned last)
{
	struct dp_interval gap = {0, 0};
	unsigned from = first;
	while (from <= last && model->has[from])
		from++;
	bool missing =
		dp_intervals_missing(set, model->base + first, model->base + last, &gap);
	assert_int_equal(missing, from <= last);
	if (!missing)
		return;
	unsigned to = from;
	while (to < last && !model->has[to + 1])
		to++;
	assert_true(gap.first == model->base + from);
	assert_true(gap.last == model->base + to);
}

static void test_a_set_and_a_bitmap_agree(void **state)
{
	(void)state;
	static const uint64_t bases[] = {
		0, 1, (UINT64_C(1) << 53) - NUMBERS / 2, UINT64_MAX - NUMBERS + 1};
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct dp_intervals set = {.at = NULL};
		struct model model = {.base = bases[seed % LENGTH(bases)]};
		uint64_t random = seed * 7919;
		print_message("seed %llu\n", (unsigned long long)random);
		for (int step = 0; step < 10000; step++) {
			unsigned first = (unsigned)random_below(&random, NUMBERS);
			/* Mostly short ranges, so that there are many. */
			unsigned most = random_below(&random, 20) == 0 ? NUMBERS : 4;
			unsigned last = first + (unsigned)random_below(&random, most);
			if (last >= NUMBERS)
				last = NUMBERS - 1;
			bool adding = random_below(&random, 2) == 0;
			bool joins = model_joins(&model, first, last);
			size_t before = set.n;
			assert_int_equal(dp_intervals_joins(&set, model.base + first,
						 model.base + last),
				joins);
			if (adding)
				add(&set, model.base + first, model.base + last);
			else
				take(&set, model.base + first, model.base + last);
			if (adding)
				assert_int_equal(joins, set.n <= before);
			for (unsigned i = first; i <= last; i++)
				model.has[i] = adding;
			check_ranges(&set, &model);
			check_missing(&set, &model,
				(unsigned)random_below(&random, first + 1), last);
		}
		dp_intervals_finish(&set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_empty_set_has_nothing),
		cmocka_unit_test(test_ranges_that_touch_become_one),
		cmocka_unit_test(test_overlapping_ranges_are_merged),
		cmocka_unit_test(test_removing_cuts_splits_and_drops),
		cmocka_unit_test(test_the_first_gap_is_found),
		cmocka_unit_test(test_the_ends_of_the_numbers_are_numbers_too),
		cmocka_unit_test(test_joining_means_not_becoming_more_ranges),
		cmocka_unit_test(
			test_clearing_keeps_the_memory_and_finishing_gives_it_back),
		cmocka_unit_test(test_a_set_and_a_bitmap_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
