/* Counting readings in their buckets, each once. One step each. */
#ifndef PRUNER_COUNT_H
#define PRUNER_COUNT_H

#include "postgres_store.h"

int count_mark(void *store);
int count_some(void *store);
int count_late(void *store);

#endif
