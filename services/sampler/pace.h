/*
 * When a sensor is read: absolute deadlines, so that what a read takes shifts nothing, and
 * retries in between. Pure; times are milliseconds of one clock.
 */
#ifndef SAMPLER_PACE_H
#define SAMPLER_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	int64_t period_ms;
	int64_t interval_ms; /**< between two attempts at least; 0: any */
	unsigned retries;    /**< of a failed read, within its period */
	int64_t deadline_ms; /**< the period's; the first attempt is due then */
	unsigned attempts;   /**< in this period */
	int64_t tried_ms;    /**< the last one */
};

/** @param first_ms  the first deadline */
void pace_init(struct pace *pace, int64_t period_ms, int64_t interval_ms, unsigned retries,
	int64_t first_ms);

/** An attempt begins. */
void pace_tried(struct pace *pace, int64_t now_ms);

/**
 * When the next attempt is due: soon after one that failed, if it can end before the next
 * deadline; at the next deadline otherwise. Deadlines that have passed are skipped.
 * @param failed  how the last attempt of this period ended
 * @return milliseconds of the clock, never before now_ms
 */
int64_t pace_next(struct pace *pace, int64_t now_ms, bool failed);

#endif
