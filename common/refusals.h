/*
 * Publishes that the broker refused: counted, and logged once an hour for each kind of
 * topic. Pure.
 */
#ifndef DP_REFUSALS_H
#define DP_REFUSALS_H

#include <stddef.h>
#include <stdint.h>

#define DP_REFUSALS_PERIOD_MS 3600000

/** All zero is none. */
struct dp_refusals {
	struct dp_refusal_class {
		char name[16];	 /* the topic's first level */
		int64_t next_ms; /* not said again before */
		uint64_t count;	 /* since it was last said */
	} classes[8];		 /* the last one takes the rest */
	size_t n;
};

/**
 * Count one.
 * @return 0: not to be logged now; otherwise how many there were since it last was
 */
uint64_t dp_refusals_note(struct dp_refusals *refusals, const char *topic, int64_t now_ms);

#endif
