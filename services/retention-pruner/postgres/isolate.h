/* Finding the sensors with which counting fails: ../aside.h has what becomes of them. */
#ifndef PRUNER_ISOLATE_H
#define PRUNER_ISOLATE_H

#include <errno.h>
#include <stdbool.h>

#include "postgres_store.h"

#define ISOLATE_TEXT_MAX (ASIDE_MAX * 12 + 3)

/** Sensors from the first id to the last one. */
struct range {
	int64_t first, last;
};
#define ISOLATE_ALL ((struct range){0, INT32_MAX})

/** Those that are set aside, as an array for PostgreSQL: {1,2}. */
void isolate_ids(const struct aside *aside, char text[ISOLATE_TEXT_MAX]);

/** Try a step with some of the sensors and undo it. @return 0 or the step's error */
typedef int (*isolate_try)(struct postgres_store *store, struct range sensors);

/** Whether an error may be about one sensor only. @param result  of a step */
static inline bool isolate_may(int result)
{
	return result == -EIO || result == -EDOM;
}

/**
 * A step has failed with err, and is rolled back: by halves, find a sensor with which it
 * does, set it aside, and say so in the report.
 * @return 0: the step may be tried again; or an error, err when it is not about one sensor
 */
int isolate_find(struct postgres_store *store, isolate_try try, int err);

#endif
