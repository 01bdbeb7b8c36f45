/*
 * Deleting in short steps. Calls wait for the disk and run on the work queue, one at
 * a time; each holds the database's write lock for one small transaction only.
 */
#ifndef PRUNER_PRUNE_H
#define PRUNER_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct prune;

/** @return 0 or as dp_store_open(), logged */
int prune_open(struct prune **out, const char *store_url);
void prune_close(struct prune *prune);

/** As dp_lease_renew() and dp_lease_release(). */
int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us);
int prune_release(struct prune *prune, struct dp_lease *lease);

/** Begin a run: readings older than before_us, streams silent since streams_before_us. */
void prune_begin(struct prune *prune, int64_t before_us, int64_t streams_before_us);

/**
 * One step.
 * @param rows  what it deleted
 * @param done  true: the run is over
 * @return 0 or as dp_store_begin(): the step did nothing and may be tried again
 */
int prune_step(struct prune *prune, int64_t *rows, bool *done);

#endif
