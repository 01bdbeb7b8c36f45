/* How much a step does at once, so that it takes a few milliseconds. Pure. */
#ifndef PRUNER_STRIDE_H
#define PRUNER_STRIDE_H

#include <stdint.h>

#define STRIDE_US 4000 /**< what a step is meant to take where others wait for it */

struct stride {
	int64_t amount, least, most;
	int64_t us; /**< what a step is meant to take */
};

/** After a step of this amount took so long, whatever the reason. */
void stride_took(struct stride *stride, int64_t took_us);

/** The pause after it: what the others get is never less than four times as much. */
int64_t stride_pause_ms(int64_t took_us, int64_t least_ms);

#endif
