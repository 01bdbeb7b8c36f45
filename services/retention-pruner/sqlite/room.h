/* How large the file is, what else has to go, and giving free pages back. */
#ifndef PRUNER_ROOM_H
#define PRUNER_ROOM_H

#include "sqlite_store.h"

/** Bytes in use, and of the whole file. @return 0 or an error: both mean nothing then */
int room_sizes(struct sqlite_store *store, int64_t *used, int64_t *whole);

/**
 * A step: see whether there is too much. What has to go is then in the job (cut_raw_us,
 * cut_rollup_us), and why nothing more can go is in its report.
 * @return an enum step, with STEP_TO() the phase that deletes it, or an error
 */
int room_make(void *store);

/** A step: give some free pages back. @return an enum step, or an error */
int room_vacuum(void *store);

#endif
