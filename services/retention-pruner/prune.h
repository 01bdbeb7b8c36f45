/*
 * A run in short steps: what is due is checked, counted in the rollups, deleted, and its
 * space given back. Calls wait for the store and run on the work queue, one at a time; each
 * holds the database's write lock for one small transaction only, and whatever is killed
 * between or within them, the next run goes on from what is in the database.
 */
#ifndef PRUNER_PRUNE_H
#define PRUNER_PRUNE_H

#include "prune_ops.h"

struct prune;

/**
 * May wait for the disk.
 * @param ops  of the store
 * @return 0; -EBUSY or -EUCLEAN (damaged; ingest replaces it): worth trying again; another
 *         negative errno; logged but for -EUCLEAN
 */
int prune_open(struct prune **out, const struct prune_ops *ops, const char *store_url);
void prune_close(struct prune *prune); /**< NULL is fine */

/**
 * The process is about to end: from here on, calls wait for others (a lock, a server) no
 * longer than half a second in all. On the loop's thread, also while a call is under way.
 */
void prune_hurry(struct prune *prune);

/** Why the last call failed, in the store's words, or NULL. */
const char *prune_why(const struct prune *prune);

/** As dp_lease_renew() and dp_lease_release(). Ends a run whose store was replaced. */
int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us);
int prune_release(struct prune *prune, struct dp_lease *lease);

void prune_begin(struct prune *prune, const struct prune_run *run);

/**
 * One step.
 * @param rows  readings, rollups and rows about streams that it deleted
 * @param done  true: the run is over
 * @return 0; -EPROTO a newer version has changed the database, logged; another negative
 *         errno: the step did nothing and may be tried again
 */
int prune_step(struct prune *prune, int64_t *rows, bool *done);

/** What that took: the next one does more or less. */
void prune_took(struct prune *prune, int64_t took_us);

/** Write what the steps have logged into the file, when it is much. Blocks nobody. */
int prune_checkpoint(struct prune *prune);

/** Of the run, when it is over. */
const struct prune_report *prune_report(const struct prune *prune);

#endif
