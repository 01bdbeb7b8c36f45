/* How large the file is, what else has to go, and giving free pages back. */
#ifndef PRUNER_ROOM_H
#define PRUNER_ROOM_H

#include "sqlite_store.h"

/** Bytes in use, and of the whole file. @return 0 or an error */
int room_sizes(struct sqlite_store *store, int64_t *used, int64_t *whole);

/* One step each. */
int room_make(void *store);
int room_vacuum(void *store);

#endif
