/*
 * Sensors with which counting fails: they are left out for the rest of a run, so that they
 * do not stop the others. What of theirs is not counted waits, and each run tries again.
 */
#ifndef PRUNER_ASIDE_H
#define PRUNER_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASIDE_MAX 16 /**< so many in a run; with more it is no matter of the sensors */

/** All zero is empty. */
struct aside {
	size_t n, n_before;
	int64_t ids[ASIDE_MAX],
		before[ASIDE_MAX]; /**< of this run, and of the one before */
	char reason[256];	   /**< for the report */
};

/** Before a run. */
void aside_begin(struct aside *aside);

bool aside_has(const struct aside *aside, int64_t sensor);

/**
 * Set a sensor aside and make the reason; logs it, unless it was aside in the run before.
 * @return false: there are too many
 */
bool aside_add(struct aside *aside, int64_t sensor, const char *topic, const char *name,
	const char *error);

#endif
