/* What there is, and how much of it: what ../guard.c asks. */
#ifndef PRUNER_LOOK_H
#define PRUNER_LOOK_H

#include "../prune_ops.h"

/* As in ../prune_ops.h: look, next, count_due, count_kept. */
int look_first(void *store, struct last_run *last);
int look_next(void *store, struct subject *subject);
int look_count_due(void *store, int64_t from_us, int64_t until_us, int64_t *n);
int look_count_kept(void *store, int64_t from_us, int64_t enough, int64_t *n);

#endif
