/* A set of sequence numbers, kept as sorted ranges that neither touch nor overlap. Pure. */
#ifndef DP_INTERVALS_H
#define DP_INTERVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dp_interval {
	uint64_t first, last; /**< both included, first <= last */
};

/** All zero is the empty set. */
struct dp_intervals {
	struct dp_interval *at; /**< ascending */
	size_t n;
	size_t size; /**< slots allocated */
};

/** Free what the set holds; it is empty afterwards. */
void dp_intervals_finish(struct dp_intervals *set);

/** Empty the set and keep its memory. */
void dp_intervals_clear(struct dp_intervals *set);

/** Add [first, last]. @return 0 or -ENOMEM with the set unchanged */
int dp_intervals_add(struct dp_intervals *set, uint64_t first, uint64_t last);

/** Take [first, last] out. @return 0 or -ENOMEM (it may split a range), set unchanged */
int dp_intervals_remove(struct dp_intervals *set, uint64_t first, uint64_t last);

bool dp_intervals_contains(const struct dp_intervals *set, uint64_t value);

/** Whether adding [first, last] would leave no more ranges than there are. */
bool dp_intervals_joins(const struct dp_intervals *set, uint64_t first, uint64_t last);

/**
 * The first run of numbers within [first, last] that the set does not have.
 * @return false when it has them all
 */
bool dp_intervals_missing(const struct dp_intervals *set, uint64_t first, uint64_t last,
	struct dp_interval *out);

#endif
