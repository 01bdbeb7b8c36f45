/* Counting readings in their buckets, each once. One step each. */
#ifndef PRUNER_ROLLUP_H
#define PRUNER_ROLLUP_H

#include "sqlite_store.h"

int rollup_mark(void *store);
int rollup_count(void *store);
int rollup_late(void *store);

/**
 * Within a transaction: count some late readings. @return 1 none are left but those of
 * sensors that are set aside, 0, or an error: -EBADMSG is about store->uncounted
 */
int rollup_late_some(struct sqlite_store *store);

#endif
