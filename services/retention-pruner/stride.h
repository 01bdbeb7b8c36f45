/* How much a step does at once, so that it takes a few milliseconds. Pure. */
#ifndef PRUNER_STRIDE_H
#define PRUNER_STRIDE_H

#include <stdbool.h>
#include <stdint.h>

#define STRIDE_US 4000 /**< what a step is meant to take where others wait for it */

struct stride {
	int64_t amount, least, most;
	int64_t us;	 /**< what a step is meant to take */
	int64_t ceiling; /**< more was ended as it took too long; 0: nothing was */
};

/** Begin again with the initial amount, or below it where that is known to take too long.
 */
void stride_begin(struct stride *stride, const struct stride *initial);

/** After a step of this amount took so long, whatever the reason. */
void stride_took(struct stride *stride, int64_t took_us);

/**
 * A step of this amount was ended, and nothing of it is done: half of it next, also below
 * what is least otherwise. An amount that is 0 stays so.
 */
void stride_gave_up(struct stride *stride);

/** A step took far less than it may: a ceiling that it had reached is raised a little. */
void stride_raise(struct stride *stride);

/**
 * The pause after a step, for the others: four times as long as the step up to a limit, and
 * at least least_ms.
 */
int64_t stride_pause_ms(int64_t took_us, int64_t least_ms);

#endif
