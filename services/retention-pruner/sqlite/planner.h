/* What SQLite's planner is told of the readings. */
#ifndef PRUNER_PLANNER_H
#define PRUNER_PLANNER_H

#include "sqlite_store.h"

/**
 * Tell it how many there are. Within a transaction of the caller's, who rolls back after an
 * error. @param readings  in the database; 0 or less: it is not told
 */
int planner_tell(struct sqlite_store *store, int64_t readings);

#endif
