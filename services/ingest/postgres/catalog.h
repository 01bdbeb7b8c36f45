/*
 * What is known of the database: sensors with their columns, and the days that have a
 * partition. A pass finds places here and notes what is missing; provision.c makes that and
 * enters it. On the loop.
 */
#ifndef INGEST_POSTGRES_CATALOG_H
#define INGEST_POSTGRES_CATALOG_H

#include "../series.h"
#include "intervals.h"

/** A column that a sensor does not have yet. Those that one reading wants stand together:
 * it gets all of them or none. */
struct wanted_channel {
	struct series *series; /**< the sensor's first part */
	bool begins;	       /**< the first one of a reading */
	struct channel channel;
};

/** All zero at first. */
struct catalog {
	struct series_cache series; /**< with sensor 0: not made yet */
	struct dp_intervals days;   /**< since 1970, that have a partition */
	int64_t days_again_us;	    /**< before it no partition is wanted */

	/* Of a pass: */
	int64_t now_us;
	int64_t dropped_until_us; /**< days before it are dropped, and none is wanted */
	int64_t last_day;	  /**< of the last reading: known or wanted */
	struct wanted_channel *wanted;
	size_t n_wanted, wanted_size;
	struct dp_intervals wanted_days;
	bool wants_series; /**< a reading has no place */
};

/** A pass begins: nothing is wanted. */
void catalog_begin(struct catalog *catalog, int64_t now_us, int64_t dropped_until_us);

/**
 * Find a reading's place. When something has to be made for it, that is wanted, and
 * catalog->wants_series says that the pass cannot be used. @return as
 * store_ops.find_place()
 */
int catalog_find_place(struct catalog *catalog, const char *topic,
	const struct dp_reading *reading, struct place *place);

/** Want the partition of a time, unless it is there. @return 0 or -ENOMEM */
int catalog_want_day(struct catalog *catalog, int64_t ts_us);

/** Whether something is wanted. */
bool catalog_is_short(const struct catalog *catalog);

/** The wanted days have partitions now. @return 0 or -ENOMEM */
int catalog_note_days(struct catalog *catalog);

/** The wanted days cannot get partitions just now: they are not wanted for a while. */
void catalog_postpone_days(struct catalog *catalog);

/** Forget the sensors: what was entered of them may not be committed. */
void catalog_forget_series(struct catalog *catalog);

/** Forget what is known: the database may be another one. */
void catalog_forget(struct catalog *catalog);

/** Free what it holds. */
void catalog_finish(struct catalog *catalog);

#endif
