/* Which rollup a chart is drawn from. Pure. */
#ifndef DP_RESOLUTION_H
#define DP_RESOLUTION_H

#include <stddef.h>
#include <stdint.h>

/** What there is: readings (size 0) or rollups of a size, and how far back it reaches. */
struct dp_resolution {
	int64_t size_us;
	int64_t from_us; /**< time of the oldest one; older ones are gone */
};

/**
 * The coarsest size that still gives at least so many points over the span, of those that
 * reach back to its begin; a finer one when none is that fine. When none reaches back so
 * far, of those that reach back the farthest.
 * @param sizes   the finest first, readings before rollups
 * @param n       at least 1
 * @param from_us, until_us  the span; from_us < until_us
 * @param points  wanted, at least 1
 * @return index into sizes
 */
size_t dp_resolution_choose(const struct dp_resolution *sizes, size_t n, int64_t from_us,
	int64_t until_us, int64_t points);

#endif
