/* What there is, and how much of it: what ../guard.c asks, and the end of a run. */
#ifndef PRUNER_SURVEY_H
#define PRUNER_SURVEY_H

#include "../prune_ops.h"

/* As in ../prune_ops.h: look, next, count_due, count_kept, and the step of PHASE_END. */
int survey_first(void *store, struct last_run *last);
int survey_next(void *store, struct subject *subject);
int survey_count_due(void *store, int64_t from_us, int64_t until_us, int64_t *n);
int survey_count_kept(void *store, int64_t from_us, int64_t enough, int64_t *n);
int survey_end(void *store);

#endif
