/*
 * What would go, before anything does. A clock that jumps forward makes everything old at
 * once: a run that would take more than half of what the last policy period has brought, or
 * that follows a step of the clock, asks first. On the work queue.
 */
#ifndef PRUNER_GUARD_H
#define PRUNER_GUARD_H

#include "prune_ops.h"

#define GUARD_LEVELS (POLICY_SIZES + 2) /**< readings, rollups of each size, of no size */

struct guard {
	const struct prune_ops *ops;
	void *store;
	struct job *job;
	struct subject subject;
	bool at_hand;	      /**< the subject is, and not yet done with */
	int64_t reference_us; /**< when the last run was, as far as known */
	int64_t due[GUARD_LEVELS], kept[GUARD_LEVELS];
};

/** Before a run. All is borrowed and outlives the guard. */
void guard_begin(
	struct guard *guard, const struct prune_ops *ops, void *store, struct job *job);

/** One step of a phase. @return an enum step, or the store's error */
int guard_check(struct guard *guard);
int guard_due(struct guard *guard);
int guard_kept(struct guard *guard);
int guard_look(struct guard *guard);

#endif
