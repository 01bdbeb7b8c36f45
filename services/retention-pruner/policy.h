/* RETENTION taken apart: how long what is kept. Pure. */
#ifndef PRUNER_POLICY_H
#define PRUNER_POLICY_H

#include <stdint.h>

#define POLICY_SIZES 4 /**< rollups of so many sizes at most */

struct policy {
	int64_t raw_us; /**< age at which a reading goes */
	unsigned n;
	/** Rollups, the finest first: each size is a multiple of the one before. */
	struct {
		int64_t size_us; /**< of a bucket: whole seconds */
		int64_t age_us;	 /**< of its end, at which it goes */
	} sizes[POLICY_SIZES];
};

/**
 * `raw:<age>` and any `<size>:<age>`, comma-separated: `raw:30d,1m:1y,1h:10y`. Ages and
 * sizes are whole numbers and ms, s, m, h, d, w or y; ages from 1s (or the size) to 100y,
 * sizes from 1s to 7d.
 * @param base  NULL; or a policy of which the text says only what is different
 * @param why   set on failure: what is allowed, a literal
 * @return 0 or -EINVAL
 */
int policy_parse(const char *text, const struct policy *base, struct policy *policy,
	const char **why);

/**
 * Where a size stands among the policy's rollups, from 1; 0 for readings (size 0); one more
 * than there are for a size that it does not have.
 */
unsigned policy_level(const struct policy *policy, int64_t size_us);

/** The age at which they go; 0: it has no such size. */
int64_t policy_age_us(const struct policy *policy, int64_t size_us);

/**
 * The time before which readings may go: before_us, or where the policy has rollups
 * counted_us, up to which they are counted, if that is earlier.
 */
int64_t policy_counted_us(
	const struct policy *policy, int64_t counted_us, int64_t before_us);

/** Raise each age to the other's where that is longer. Both have the same sizes. */
void policy_keep_longer(struct policy *policy, const struct policy *other);

#endif
