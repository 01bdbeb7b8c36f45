/*
 * What a run and the store's steps share: what is wanted, and what has come of it. Types
 * only. All of it belongs to the thread of the work queue while a step is under way.
 */
#ifndef PRUNER_JOB_H
#define PRUNER_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "aside.h"
#include "jump.h"
#include "policies.h"
#include "stride.h"

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

/** In this order; a step says whether its phase is over. */
enum phase {
	PHASE_CHECK, /**< the clock */
	PHASE_DUE,   /**< what would go of the last policy period */
	PHASE_KEPT,  /**< and what would stay */
	PHASE_LOOK,  /**< dry run: all that would go */
	PHASE_MARK,  /**< up to where is counted: what comes later and is older is late */
	PHASE_COUNT, /**< in rollups */
	PHASE_LATE,  /**< count what came too late */
	PHASE_DAYS,  /**< whole days of readings go */
	PHASE_READINGS, /**< the others go one by one */
	PHASE_ROLLUPS,
	PHASE_STREAMS,
	PHASE_SIZE,   /**< too large: more has to go */
	PHASE_VACUUM, /**< give free pages back */
	PHASE_END,    /**< note that there was a run; what the report says of it */
	PHASE_DONE,
};
#define PHASES (PHASE_DONE + 1)

/** What a step returns, besides a negative errno: then it has done nothing. */
enum step {
	STEP_MORE, /**< the phase goes on */
	STEP_OVER, /**< the phase is over */
	STEP_JUMP, /**< see STEP_TO() */
};
/** What a step returns after which another phase than the next one goes on. */
#define STEP_TO(phase) (STEP_JUMP + (int)(phase))

/** Written by the steps; `run`, `phase` and `strides` by prune.c alone. */
struct job {
	struct prune_run run;
	const struct policy *all; /**< RETENTION's own, which says what is counted */
	int64_t mark_us; /**< readings before this are counted; 0: all has no rollups */
	struct prune_report report;
	enum phase phase;
	int64_t rows; /**< that the step deleted: readings, rollups, about streams */
	struct stride strides[PHASES]; /**< how much a step of each does */
	char boot[JUMP_BOOT_MAX];      /**< run.boot_id, as the store keeps it */
	struct aside aside;	       /**< sensors that are not counted */
	int64_t cut_raw_us;	       /**< to make space: readings before this go, too */
	int64_t cut_rollup_us;	       /**< and so do the finest rollups */
	bool too_long;	  /**< the store has ended the last step, nothing of it is done */
	int64_t limit_us; /**< the store ends a step that takes longer; 0: it does not */
};

#endif
