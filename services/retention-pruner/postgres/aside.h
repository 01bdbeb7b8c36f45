/*
 * Sensors with which counting fails, whatever the reason: they are found and left out, so
 * that they do not stop the others. What of theirs is not counted waits in `late`.
 */
#ifndef PRUNER_ASIDE_H
#define PRUNER_ASIDE_H

#include <stddef.h>
#include <stdint.h>

struct prune;

#define ASIDE_MAX 16 /**< so many in a run; with more it is not the sensors */
#define ASIDE_TEXT_MAX (ASIDE_MAX * 12 + 3)

struct aside {
	size_t n;
	int64_t ids[ASIDE_MAX];
};

/** Sensors from the first id to the last one. */
struct range {
	int64_t first, last;
};
#define ASIDE_ALL ((struct range){0, INT32_MAX})

/** Before a run: all are tried again, and those that fail again are not logged again. */
void aside_begin(struct prune *prune);

/** The ids as an array for PostgreSQL: {1,2}. */
void aside_ids(const struct prune *prune, char text[ASIDE_TEXT_MAX]);

/** Try a step with some of the sensors and undo it. @return 0 or its error */
typedef int (*aside_try)(struct prune *prune, struct range sensors);

/**
 * A step has failed with err: by halves, find a sensor with which it does, set it aside,
 * log it and name it in the report.
 * @return 0: the step may be tried again; or err: it is not about one sensor
 */
int aside_find(struct prune *prune, aside_try try, int err);

#endif
