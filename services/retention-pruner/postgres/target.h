/* What is looked at and deleted one after the other: groups of sensors, then sizes. */
#ifndef PRUNER_TARGET_H
#define PRUNER_TARGET_H

#include "postgres_store.h"

/** Before the first group, the first size and the first day. */
void target_rewind(void *store);

/** Go on to the next group, then the next size. @return 1; 0 there is none; or an error */
int target_next(struct postgres_store *store);

/** The one at hand, once there is one; the store's, until the next run looks. */
const struct group *target_group(const struct postgres_store *store);

#endif
