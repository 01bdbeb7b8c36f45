/* What SQLite's planner is told of the readings. */
#ifndef PRUNER_PLANNER_H
#define PRUNER_PLANNER_H

#include "sqlite_store.h"

/** Within a transaction. @return 0 or an error */
int planner_tell(struct sqlite_store *store, int64_t readings);

#endif
