/*
 * A run in short steps: what is due is checked, counted in the rollups, deleted, and its
 * space given back. Calls wait for the disk and run on the work queue, one at a time; each
 * holds the database's write lock for one small transaction only, and whatever is killed
 * between or within them, the next run goes on from what is in the database.
 *
 * For PostgreSQL the files of postgres/ take the place of prune.c and what that calls.
 */
#ifndef PRUNER_PRUNE_H
#define PRUNER_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "lease.h"
#include "policies.h"

struct prune;

/** For the table of settings: the program's name, and about STORE_URL. */
extern const char prune_service[], prune_url_fallback[], prune_url_help[];
const char *prune_check_url(const char *value); /**< what it may be, or NULL: it is good */

/** What MIN_FREE_BYTES may be, when this is not; else NULL. */
const char *prune_check_min_free(int64_t bytes);

/**
 * May wait for the disk.
 * @return 0; -EBUSY or -EUCLEAN (damaged; ingest replaces it): worth trying again; another
 *         negative errno; logged but for -EUCLEAN
 */
int prune_open(struct prune **out, const char *store_url);
void prune_close(struct prune *prune); /**< NULL is fine */

/**
 * The process is about to end: from here on calls take no longer than half a second
 * together, if it is up to somebody else. On the loop, also while a call is under way.
 */
void prune_hurry(struct prune *prune);

/** Why the last call failed, in the store's words, or NULL. */
const char *prune_why(const struct prune *prune);

/** As dp_lease_renew() and dp_lease_release(). */
int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us);
int prune_release(struct prune *prune, struct dp_lease *lease);

/** What a run is to do. */
struct prune_run {
	struct policies *policies; /**< outlive the run */
	int64_t now_us;
	int64_t streams_before_us;	   /**< streams silent since then go ... */
	int64_t streams_kept;		   /**< ... but never the latest so many */
	int64_t max_bytes, min_free_bytes; /**< 0: no limit */
	int64_t boot_us;		   /**< since the boot ... */
	char boot_id[40];		   /**< ... of this id */
	bool synchronised; /**< the clock is: when it was not before, a step was due */
	bool dry_run;	   /**< only look */
	bool confirmed;	   /**< do what would be asked about */
};

enum prune_outcome {
	PRUNE_DID,
	PRUNE_LOOKED,
	PRUNE_ASKS,
	PRUNE_FAILED, /**< ended early: the numbers are what was done until then */
};

struct prune_report {
	enum prune_outcome outcome;
	const char *reason;	   /**< of what was not done, or could not be; else NULL */
	int64_t counted;	   /**< readings counted in rollups */
	int64_t odd;		   /**< values too large to be counted */
	int64_t readings, rollups; /**< deleted, or due in a dry run */
	int64_t rows_before, rows_after; /**< readings in the database */
	bool about; /**< these, or the readings deleted, are the store's estimate */
	int64_t bytes_before, bytes_after;
	int64_t oldest_us; /**< of the oldest reading, 0 without one */
};

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
