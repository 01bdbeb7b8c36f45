/*
 * Readings of a transaction: where a sensor's quantities stand, with new ones made, and the
 * rows. On the work queue.
 */
#ifndef INGEST_SQLITE_READINGS_H
#define INGEST_SQLITE_READINGS_H

#include "../series.h"
#include "rows.h"
#include "statements.h"

/** All zero at first, but for the statements. */
struct readings {
	struct statements *statements; /**< of the open database */
	struct series_cache series;    /**< see readings_forget() */
	struct rows rows;	       /**< not yet handed over */
	int64_t next_id, first_id;     /**< of the next row; of the transaction's first */
	int64_t counted_until_us;      /**< the pruner has counted older readings */
};

/**
 * The transaction has begun; rows of one that was undone are forgotten.
 * @return -ENODATA rows are missing that are always there; as dp_sqlite_error()
 */
int readings_begin(struct readings *readings);

/** As store_ops.find_place(). */
int readings_find_place(struct readings *readings, const char *topic,
	const struct dp_reading *reading, struct place *place);

/** Store a reading at its place. @return as dp_sqlite_error() */
int readings_add(struct readings *readings, const struct dp_reading *reading,
	const struct place *place, unsigned mark);

/** Write what is left, before the commit. @return as dp_sqlite_error() */
int readings_end(struct readings *readings);

/** Forget what was read of sensors: the transaction is undone, or the file another one. */
void readings_forget(struct readings *readings);

#endif
