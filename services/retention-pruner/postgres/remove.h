/*
 * Deleting row by row what does not go with a partition. A step each, which returns an enum
 * step, or an error; how many rows are gone is then in the job.
 */
#ifndef PRUNER_REMOVE_H
#define PRUNER_REMOVE_H

#include "postgres_store.h"

int remove_readings(void *store);
int remove_rollups(void *store);
int remove_streams(void *store); /**< that were silent for long, and their gaps */

#endif
