/*
 * A run in short steps: what is due is checked, counted in the rollups, deleted, and its
 * space given back. Calls wait for the disk and run on the work queue, one at a time; each
 * holds the database's write lock for one small transaction only, and whatever is killed
 * between or within them, the next run goes on from what is in the database.
 */
#ifndef PRUNER_PRUNE_H
#define PRUNER_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "policies.h"
#include "store.h"

struct prune;

/** @return 0 or as dp_store_open(), logged */
int prune_open(struct prune **out, const char *store_url);
void prune_close(struct prune *prune);

/** As dp_lease_renew() and dp_lease_release(). */
int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us);
int prune_release(struct prune *prune, struct dp_lease *lease);

/** What a run is to do. */
struct prune_run {
	const struct policies *policies; /**< outlive the run */
	int64_t now_us;
	int64_t streams_before_us;	   /**< streams silent since then go */
	int64_t max_bytes, min_free_bytes; /**< 0: no limit */
	int64_t boot_us;		   /**< since the boot ... */
	char boot_id[40];		   /**< ... of this id */
	bool synchronised; /**< the clock is; if not, its next step is no surprise */
	bool dry_run;	   /**< only look */
	bool confirmed;	   /**< do what would be asked about */
};

enum prune_outcome { PRUNE_DID, PRUNE_LOOKED, PRUNE_ASKS };

struct prune_report {
	enum prune_outcome outcome;
	const char *reason;	   /**< of what was not done, or could not be; else NULL */
	int64_t counted;	   /**< readings counted in rollups */
	int64_t readings, rollups; /**< deleted, or due in a dry run */
	int64_t rows_before, rows_after; /**< readings in the database */
	int64_t bytes_before, bytes_after;
	int64_t oldest_us; /**< of the oldest reading, 0 without one */
};

void prune_begin(struct prune *prune, const struct prune_run *run);

/**
 * One step.
 * @param rows  readings, rollups and rows about streams that it deleted
 * @param done  true: the run is over
 * @return 0 or as dp_store_begin(): the step did nothing and may be tried again
 */
int prune_step(struct prune *prune, int64_t *rows, bool *done);

/** What that took: the next one does more or less. */
void prune_took(struct prune *prune, int64_t took_us);

/** Write what the steps have logged into the file, when it is much. Blocks nobody. */
int prune_checkpoint(struct prune *prune);

/** Of the run, when it is over. */
const struct prune_report *prune_report(const struct prune *prune);

#endif
