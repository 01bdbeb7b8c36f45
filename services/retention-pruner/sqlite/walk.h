/* From sensor to sensor, and from one series of rollups to the next. */
#ifndef PRUNER_WALK_H
#define PRUNER_WALK_H

#include "sqlite_store.h"

/** Before the first sensor and the first series. */
void walk_rewind(void *store);

/** Take the next sensor and its policy. @return 1, 0 there is none, or an error */
int walk_sensor(struct sqlite_store *store);

/** Take the next series of rollups, of all sizes. @return as above */
int walk_series(struct sqlite_store *store);

/** Tell the policies which names there are. @return 0 or an error */
int walk_note_sensors(struct sqlite_store *store);

/** Set aside the sensor with which counting failed. @return 0, or err: there are too many
 */
int walk_set_aside(struct sqlite_store *store, int err);

#endif
