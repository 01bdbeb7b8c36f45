/* What goes early when there is too much. Pure. */
#ifndef PRUNER_CUT_H
#define PRUNER_CUT_H

#include <stdint.h>

#define CUT_DAY_US INT64_C(86400000000)
#define CUT_RAW_FLOOR_US CUT_DAY_US	      /**< younger readings go by age only */
#define CUT_ROLLUP_FLOOR_US (30 * CUT_DAY_US) /**< and so do rollups */

/** The reason when nothing may go any more, as the report says it. */
extern const char cut_floor_reached[];

/**
 * A time before which everything goes, so that a share of what is there goes, but nothing
 * beyond the floor.
 */
int64_t cut_at(int64_t oldest_us, int64_t floor_us, double share);

#endif
