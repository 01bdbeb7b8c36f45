#include <math.h>

#include "retention-pruner/bucket.h"
#include "support.h"

#define MINUTE_US INT64_C(60000000)
#define HOUR_US INT64_C(3600000000)

static struct policy policy = {
	.raw_us = 1, .n = 2, .sizes = {{MINUTE_US, 1}, {HOUR_US, 1}}};

struct emitted {
	size_t n;
	struct {
		int64_t size_us;
		unsigned column;
		struct bucket bucket;
	} at[64];
};

static int note(void *data, int64_t size_us, unsigned column, const struct bucket *bucket)
{
	struct emitted *emitted = data;
	assert_true(emitted->n < LENGTH(emitted->at));
	emitted->at[emitted->n].size_us = size_us;
	emitted->at[emitted->n].column = column;
	emitted->at[emitted->n++].bucket = *bucket;
	return 0;
}

static void add(struct fold *fold, int64_t ts_us, unsigned column, double value)
{
	assert_int_equal(fold_time(fold, ts_us), 0);
	fold_value(fold, ts_us, column, value);
}

static void test_buckets_begin_at_multiples_of_their_size(void **state)
{
	(void)state;
	assert_true(bucket_start(0, MINUTE_US) == 0);
	assert_true(bucket_start(MINUTE_US - 1, MINUTE_US) == 0);
	assert_true(bucket_start(MINUTE_US, MINUTE_US) == MINUTE_US);
	assert_true(bucket_start(-1, MINUTE_US) == -MINUTE_US);
	assert_true(bucket_start(-MINUTE_US, MINUTE_US) == -MINUTE_US);
}

static void test_what_values_come_to(void **state)
{
	(void)state;
	struct bucket bucket = {.count = 0};
	bucket_add(&bucket, 10, 3);
	bucket_add(&bucket, 30, -1);
	bucket_add(&bucket, 20, 7);
	assert_int_equal(bucket.count, 3);
	assert_true(bucket.min == -1 && bucket.max == 7 && bucket_sum(&bucket) == 9);
	assert_true(bucket.first == 3 && bucket.first_us == 10);
	assert_true(bucket.last == -1 && bucket.last_us == 30);
	/* Of one instant, the later added is the last, and the first stays. */
	bucket_add(&bucket, 30, 5);
	bucket_add(&bucket, 10, 6);
	assert_true(bucket.last == 5 && bucket.first == 3);
}

static void test_sums_keep_what_addition_rounds_off(void **state)
{
	(void)state;
	struct bucket bucket = {.count = 0};
	bucket_add(&bucket, 1, 1e16);
	for (int i = 0; i < 1000; i++)
		bucket_add(&bucket, 2, 1);
	bucket_add(&bucket, 3, -1e16);
	assert_true(bucket_sum(&bucket) == 1000);
}

static void test_a_bucket_is_handed_on_when_the_next_begins(void **state)
{
	(void)state;
	struct emitted emitted = {.n = 0};
	struct fold fold;
	fold_init(&fold, &policy, note, &emitted);
	add(&fold, HOUR_US, 0, 1);
	fold_value(&fold, HOUR_US, 1, 50);
	add(&fold, HOUR_US + MINUTE_US - 1, 0, 2);
	assert_int_equal(emitted.n, 0);
	add(&fold, HOUR_US + MINUTE_US, 0, 3);
	assert_int_equal(emitted.n, 2);
	assert_true(emitted.at[0].bucket.start_us == HOUR_US);
	assert_true(emitted.at[0].bucket.count == 2 && emitted.at[0].column == 0);
	assert_true(emitted.at[1].bucket.count == 1 && emitted.at[1].column == 1);
	add(&fold, 2 * HOUR_US, 0, 4); /* the hour is over as well: 1 minute, 2 hours */
	assert_int_equal(emitted.n, 5);
	assert_true(emitted.at[3].size_us == HOUR_US);
	assert_true(emitted.at[3].bucket.count == 3);
	assert_true(bucket_sum(&emitted.at[3].bucket) == 6);
	assert_true(emitted.at[3].bucket.last_us == HOUR_US + MINUTE_US);
	assert_int_equal(fold_end(&fold), 0);
	assert_int_equal(emitted.n, 7);
	assert_true(emitted.at[6].bucket.start_us == 2 * HOUR_US);
	assert_int_equal(fold_end(&fold), 0);
	assert_int_equal(emitted.n, 7);
}

static void test_times_may_go_back(void **state)
{
	(void)state;
	struct emitted emitted = {.n = 0};
	struct fold fold;
	fold_init(&fold, &policy, note, &emitted);
	add(&fold, 2 * HOUR_US, 0, 1);
	add(&fold, HOUR_US, 0, 2);
	add(&fold, 2 * HOUR_US, 0, 3);
	assert_int_equal(fold_end(&fold), 0);
	assert_int_equal(emitted.n, 6);
	for (size_t i = 0; i < emitted.n; i++)
		assert_int_equal(emitted.at[i].bucket.count, 1);
}

static int refuse(void *data, int64_t size_us, unsigned column, const struct bucket *bucket)
{
	(void)data, (void)size_us, (void)column, (void)bucket;
	return -ENOSPC;
}

static void test_an_error_is_handed_up(void **state)
{
	(void)state;
	struct fold fold;
	fold_init(&fold, &policy, refuse, NULL);
	add(&fold, 1, 0, 1);
	assert_int_equal(fold_time(&fold, MINUTE_US), -ENOSPC);
	assert_int_equal(fold_end(&fold), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_begin_at_multiples_of_their_size),
		cmocka_unit_test(test_what_values_come_to),
		cmocka_unit_test(test_sums_keep_what_addition_rounds_off),
		cmocka_unit_test(test_a_bucket_is_handed_on_when_the_next_begins),
		cmocka_unit_test(test_times_may_go_back),
		cmocka_unit_test(test_an_error_is_handed_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
