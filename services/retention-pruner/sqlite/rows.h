/*
 * Deleting: the oldest of a series first, some at a time. A step each, which returns an
 * enum step, or an error; how many rows are gone is then in the job.
 */
#ifndef PRUNER_ROWS_H
#define PRUNER_ROWS_H

#include "sqlite_store.h"

int rows_readings(void *store); /**< counts what is late first; errors as rollup_late() */
int rows_rollups(void *store);
int rows_streams(void *store); /**< what is known of streams that were silent for long */

#endif
