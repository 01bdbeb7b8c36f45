/*
 * Counting readings in their buckets, each once. A step each, which returns an enum step,
 * or an error. A sensor that cannot be counted is set aside, and the step is tried again.
 */
#ifndef PRUNER_COUNT_H
#define PRUNER_COUNT_H

#include "postgres_store.h"

int count_mark(void *store); /**< move `late_before`: what is stored then is late */
int count_some(void *store); /**< count a span of time up to there */
int count_late(void *store); /**< count some of what is late */

#endif
