#include "bucket.h"

#include <math.h>

/* Far beyond what is measured; and a sum of 2^63 of them is a number still. */
#define VALUE_MAX 1e288

int64_t bucket_start(int64_t ts_us, int64_t size_us)
{
	int64_t into = ts_us % size_us;
	return ts_us - (into < 0 ? into + size_us : into);
}

/* Neumaier's sum: it is exact to a rounding or two, however many values there are. */
static void add(struct bucket *bucket, double value)
{
	double sum = bucket->sum + value;
	if (fabs(bucket->sum) >= fabs(value))
		bucket->error += (bucket->sum - sum) + value;
	else
		bucket->error += (value - sum) + bucket->sum;
	bucket->sum = sum;
}

/* As merge() with a bucket of one value, which takes longer. */
void bucket_add(struct bucket *bucket, int64_t ts_us, double value)
{
	if (bucket->count++ == 0) {
		bucket->min = bucket->max = bucket->first = bucket->last = bucket->sum =
			value;
		bucket->error = 0;
		bucket->first_us = bucket->last_us = ts_us;
		return;
	}
	if (value < bucket->min)
		bucket->min = value;
	if (value > bucket->max)
		bucket->max = value;
	add(bucket, value);
	if (ts_us < bucket->first_us) {
		bucket->first = value;
		bucket->first_us = ts_us;
	}
	if (ts_us >= bucket->last_us) {
		bucket->last = value;
		bucket->last_us = ts_us;
	}
}

/* What another has counted; it came after what is there already. */
static void merge(struct bucket *into, const struct bucket *other)
{
	if (into->count == 0) {
		*into = *other;
		return;
	}
	into->count += other->count;
	into->min = other->min < into->min ? other->min : into->min;
	into->max = other->max > into->max ? other->max : into->max;
	add(into, other->sum);
	into->error += other->error;
	if (other->first_us < into->first_us) {
		into->first = other->first;
		into->first_us = other->first_us;
	}
	if (other->last_us >= into->last_us) {
		into->last = other->last;
		into->last_us = other->last_us;
	}
}

double bucket_sum(const struct bucket *bucket)
{
	return bucket->sum + bucket->error;
}

bool bucket_may_count(double value)
{
	return fabs(value) <= VALUE_MAX;
}

void fold_init(struct fold *fold, const struct policy *policy, fold_emit emit, void *data)
{
	*fold = (struct fold){.n = policy->n, .emit = emit, .data = data};
	for (unsigned i = 0; i < policy->n; i++)
		fold->sizes_us[i] = policy->sizes[i].size_us;
}

/* Hand on a level, and count it in the next coarser one, whose buckets are wider. */
static int close_level(struct fold *fold, unsigned level)
{
	int err = 0;
	for (unsigned column = 0; column < BUCKET_COLUMNS && err == 0; column++) {
		struct bucket *bucket = &fold->open[level][column];
		if (bucket->count == 0)
			continue;
		err = fold->emit(fold->data, fold->sizes_us[level], column, bucket);
		if (err == 0 && level + 1 < fold->n) {
			struct bucket *wider = &fold->open[level + 1][column];
			merge(wider, bucket);
			wider->start_us =
				bucket_start(bucket->start_us, fold->sizes_us[level + 1]);
		}
		if (err == 0)
			bucket->count = 0;
	}
	return err;
}

int fold_time(struct fold *fold, int64_t ts_us)
{
	if (ts_us >= fold->from_us && ts_us < fold->until_us)
		return 0;
	int err = close_level(fold, 0);
	/* A wider bucket is over when a narrower one begins outside. */
	for (unsigned level = 1; level < fold->n && err == 0; level++) {
		int64_t size_us = fold->sizes_us[level];
		if (bucket_start(ts_us, size_us) != bucket_start(fold->from_us, size_us))
			err = close_level(fold, level);
	}
	fold->from_us = bucket_start(ts_us, fold->sizes_us[0]);
	fold->until_us = fold->from_us + fold->sizes_us[0];
	return err;
}

void fold_value(struct fold *fold, int64_t ts_us, unsigned column, double value)
{
	struct bucket *bucket = &fold->open[0][column];
	if (bucket->count == 0)
		bucket->start_us = fold->from_us;
	bucket_add(bucket, ts_us, value);
}

int fold_end(struct fold *fold)
{
	int err = 0;
	for (unsigned level = 0; level < fold->n && err == 0; level++)
		err = close_level(fold, level);
	return err;
}
