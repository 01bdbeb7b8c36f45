/* From sensor to sensor, and from one series of rollups to the next. */
#ifndef PRUNER_WALK_H
#define PRUNER_WALK_H

#include "sqlite_store.h"

/** Before the first sensor and the first series. */
void walk_rewind(void *store);

/**
 * Go on to the next sensor, which is then store->sensor with store->policy.
 * @return 1; 0 there is none; or an error
 */
int walk_sensor(struct sqlite_store *store);

/** The same for rollups, series by series of one size after the other: store->size_s. */
int walk_series(struct sqlite_store *store);

/** Tell the run's policies which names there are. @return 0 or an error */
int walk_note_sensors(struct sqlite_store *store);

/**
 * Set store->uncounted, the sensor with which counting failed, aside, and say so in the
 * report. @return 0, or `err`: there are too many
 */
int walk_set_aside(struct sqlite_store *store, int err);

#endif
