/*
 * A store in PostgreSQL, as the parts of this folder share it. Types only.
 *
 * What their functions have in common: they are called on the work queue, one at a time,
 * and each call to the server has a deadline (db.h). The store stays the caller's; a
 * `void *store` is a struct postgres_store. They return 0, or what their header says, or an
 * error as db_run(), which db_why() says in words. A step is one transaction of its own,
 * begun with step_begin(), so it may also return what that does; after an error all of it
 * is rolled back, and the next call does it again.
 */
#ifndef PRUNER_POSTGRES_STORE_H
#define PRUNER_POSTGRES_STORE_H

#include "../job.h"
#include "db.h"
#include "groups.h"

#define DAY_US INT64_C(86400000000)
#define EVER_US INT64_C(253402300800000000) /* the year 10000 */
#define EXACT_BYTES 268435456		    /* more readings are not counted one by one */

/* A time as whole microseconds since 1970. */
#define MICROSECONDS(ts) "(extract(epoch FROM " ts ") * 1000000)::bigint"

#define STORE_ID_MAX 40

/* The row of `retention`. */
struct postgres_state {
	int64_t counted_until_us, late_before_us;
	int64_t run_wall_us, run_boot_us;
	char run_boot_id[40];
};

/* What is deleted at a time: readings (size_s 0) or rollups, of a group of sensors. */
struct place {
	int64_t size_s;
	size_t group;	/* counted from 1; 0: before the first */
	int64_t day_us; /* the partition at hand; -1: the default one */
};

struct postgres_store {
	struct db *db;
	char store_id[STORE_ID_MAX]; /* of the database of the last session */

	struct job *job; /* the run's */
	struct groups groups;
	struct place place;
	int64_t look_us;  /* up to where the place is looked at; INT64_MIN: the next one */
	bool vacuum;	  /* readings ahead were deleted to make space: give it back */
	bool repack;	  /* rollups were deleted to make space: give it back */
	bool repack_owed; /* that has failed, in this run or an earlier one */
};

#endif
