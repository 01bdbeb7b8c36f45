/* What goes early when there is too much. Pure. */
#ifndef PRUNER_CUT_H
#define PRUNER_CUT_H

#include <stdbool.h>
#include <stdint.h>

#define CUT_DAY_US INT64_C(86400000000)
#define CUT_RAW_FLOOR_US CUT_DAY_US	      /**< younger readings go by age only */
#define CUT_ROLLUP_FLOOR_US (30 * CUT_DAY_US) /**< and so do rollups */

/**
 * Readings of a later time go first, if they were marked as being ahead when they came: by
 * age they would never go, and all others before them. INT64_MAX, which is none, when the
 * clock shows less than at the last run: it may be the clock that is wrong.
 */
int64_t cut_ahead_us(int64_t now_us, int64_t last_run_us);
#define CUT_AHEAD_MARK "3" /**< reading.clock of those: ingest's CLOCK_AHEAD */

/** The reason when nothing may go any more, as the report says it. */
extern const char cut_floor_reached[];

/**
 * Whether cutting gains anything. Deleting writes to the log, and the log grows while
 * somebody reads from before it: then what is deleted is lost for nothing.
 */
struct cut_gain {
	int64_t least_over; /**< the lack at its smallest */
	int rounds;	    /**< since it became smaller */
	bool begun;
};

/** Before each round, with what is lacking. @return whether a further round makes sense */
bool cut_gains(struct cut_gain *gain, int64_t over);

/**
 * A time before which everything goes, so that a share of what is there goes, but nothing
 * beyond the floor.
 */
int64_t cut_at(int64_t oldest_us, int64_t floor_us, double share);

#endif
