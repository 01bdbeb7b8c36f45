/* Counting readings in their buckets, each once. */
#ifndef PRUNER_ROLLUP_H
#define PRUNER_ROLLUP_H

#include "sqlite_store.h"

/*
 * A step each. They return an enum step, or an error: after -EBADMSG one sensor cannot be
 * counted (store->uncounted, and store->uncounted_why in words), see walk_set_aside().
 */
int rollup_mark(void *store);  /**< note up to where is counted */
int rollup_count(void *store); /**< count some readings up to there */
int rollup_late(void *store);  /**< count some that are stored later and are older */

/**
 * The work of rollup_late(), within a transaction of the caller's, who rolls back after an
 * error and restores the job's report. @return 1 none are left but those of sensors that
 * are set aside; 0 there may be more; or an error, as above
 */
int rollup_late_some(struct sqlite_store *store);

#endif
