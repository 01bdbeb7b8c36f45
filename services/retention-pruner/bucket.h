/*
 * What values come to in buckets of some sizes: counted one after the other, handed on
 * when a bucket is over. Pure.
 */
#ifndef PRUNER_BUCKET_H
#define PRUNER_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

#define BUCKET_COLUMNS 8 /**< values of a reading */

struct bucket {
	int64_t start_us;
	int64_t count; /**< 0: empty, the rest means nothing */
	double min, max, first, last;
	double sum, error; /**< together: what addition has rounded off is kept */
	int64_t first_us, last_us;
};

/** Begin of the bucket of a time; also of one before 1970. */
int64_t bucket_start(int64_t ts_us, int64_t size_us);

/** A value. Of two at one instant, the one that is added later is the last. */
void bucket_add(struct bucket *bucket, int64_t ts_us, double value);

/**
 * Whether a value may be added: a number, and not one whose sums are none. Others are of no
 * sensor; they are not counted.
 */
bool bucket_may_count(double value);

double bucket_sum(const struct bucket *bucket);

/** Takes a bucket that is over. @return 0, or an error that folding hands up */
typedef int (*fold_emit)(
	void *data, int64_t size_us, unsigned column, const struct bucket *bucket);

/** Buckets of one sensor that are being filled. */
struct fold {
	unsigned n;
	int64_t sizes_us[POLICY_SIZES]; /**< each a multiple of the one before */
	struct bucket open[POLICY_SIZES][BUCKET_COLUMNS];
	int64_t from_us, until_us; /**< of the finest bucket at hand */
	fold_emit emit;
	void *data;
};

void fold_init(struct fold *fold, const struct policy *policy, fold_emit emit, void *data);

/** A reading's time comes before its values: what it ends is handed on. */
int fold_time(struct fold *fold, int64_t ts_us);
void fold_value(struct fold *fold, int64_t ts_us, unsigned column, double value);

/** Hand on what is there. */
int fold_end(struct fold *fold);

#endif
