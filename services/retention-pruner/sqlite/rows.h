/* Deleting: the oldest of a series first, some at a time. One step each. */
#ifndef PRUNER_ROWS_H
#define PRUNER_ROWS_H

#include "sqlite_store.h"

int rows_readings(void *store);
int rows_rollups(void *store);
int rows_streams(void *store);

#endif
