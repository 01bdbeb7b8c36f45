/* How large the database is, and what else has to go. */
#ifndef PRUNER_SPACE_H
#define PRUNER_SPACE_H

#include "postgres_store.h"

/** In bytes. @return 0 or an error */
int space_size(struct postgres_store *store, int64_t *bytes);

/** How many readings there are; of very many the server's estimate. @return as above */
int space_rows(struct postgres_store *store, int64_t *rows);

/* One step each. */
int space_make(void *store);
int space_end(void *store);

#endif
