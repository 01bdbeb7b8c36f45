/* Deleting row by row what does not go with a partition. One step each. */
#ifndef PRUNER_REMOVE_H
#define PRUNER_REMOVE_H

#include "postgres_store.h"

int remove_readings(void *store);
int remove_rollups(void *store);
int remove_streams(void *store);

#endif
