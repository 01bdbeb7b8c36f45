/* How large the database is, and what else has to go. */
#ifndef PRUNER_SPACE_H
#define PRUNER_SPACE_H

#include "postgres_store.h"

/** Of the database, in bytes. @return 0 or an error */
int space_size(struct postgres_store *store, int64_t *bytes);

/** How many readings there are; of very many the server's estimate, as the report says. */
int space_rows(struct postgres_store *store, int64_t *rows);

/**
 * A step: see whether there is too much. What has to go is then in the job (cut_raw_us,
 * cut_rollup_us), and why nothing more can go is in its report. Also gives space back, by a
 * VACUUM, which is in no transaction: that it failed is logged, and no error.
 * @return an enum step, with STEP_TO() the phase that deletes it, or an error
 */
int space_make(void *store);

/** A step: note that there was a run, complete the report. @return STEP_OVER or an error */
int space_end(void *store);

#endif
