#include "postgres_ops.h"

#include <errno.h>
#include <stdlib.h>

#include "count.h"
#include "days.h"
#include "log.h"
#include "look.h"
#include "postgres.h"
#include "remove.h"
#include "session.h"
#include "space.h"
#include "target.h"

#define COUNT_US 200000 /* nobody waits for a step, but its transaction should be short */
#define DELETE_US 100000
#define LOOK_US 1000000 /* without a transaction */

/*
 * What a step may do at first, at least and at most: rows; of counting and of looking at
 * readings, seconds of time.
 */
static const struct stride strides[PHASES] = {
	[PHASE_DUE] = {.amount = 86400, .least = 3600, .most = 31536000, .us = LOOK_US},
	[PHASE_LOOK] = {.amount = 86400, .least = 3600, .most = 31536000, .us = LOOK_US},
	[PHASE_COUNT] = {.amount = 3600, .least = 60, .most = 86400, .us = COUNT_US},
	[PHASE_LATE] = {.amount = 10000, .least = 500, .most = 200000, .us = COUNT_US},
	[PHASE_READINGS] = {.amount = 5000, .least = 500, .most = 20000, .us = DELETE_US},
	[PHASE_ROLLUPS] = {.amount = 5000, .least = 500, .most = 20000, .us = DELETE_US},
	[PHASE_SIZE] = {.amount = 5000, .least = 500, .most = 20000, .us = DELETE_US},
};

static const char *check_min_free(int64_t bytes)
{
	return bytes == 0 ? NULL
			  : "0: PostgreSQL does not say what its volume has free; "
			    "MAX_DB_BYTES limits the database";
}

static int open_store(void **out, const char *url, struct job *job)
{
	struct postgres_store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		dp_log_out_of_memory("the pruner's store");
	store->job = job;
	db_open(&store->db, url);
	*out = store;
	return 0;
}

static void close_store(void *data)
{
	struct postgres_store *store = data;
	groups_finish(&store->groups);
	db_close(store->db);
	free(store);
}

static void hurry(void *data)
{
	struct postgres_store *store = data;
	db_hurry(store->db);
}

static const char *why(const void *data)
{
	const struct postgres_store *store = data;
	const char *words = db_why(store->db);
	return *words != '\0' ? words : NULL;
}

static void begin(void *data)
{
	struct postgres_store *store = data;
	/* What a run that was cut short has left to be given back is so still. */
	store->repack = store->repack || store->repack_owed;
}

/* The session is there still: at once with less, until it is the least. */
static int failed(void *data, int err)
{
	struct postgres_store *store = data;
	struct job *job = store->job;
	job->too_long = job->too_long || db_took_too_long(store->db);
	bool less = job->too_long && err == -EBUSY && job->strides[job->phase].amount > 1;
	return less ? 0 : err;
}

const struct prune_ops postgres_ops = {
	.service = "retention-pruner-postgres",
	.url_fallback = "postgresql://dewpoint@postgres/dewpoint",
	.url_help = "the database: postgresql://user:password@host:port/database",
	.check_url = dp_postgres_check_url,
	.check_min_free = check_min_free,
	.strides = strides,
	.open = open_store,
	.close = close_store,
	.hurry = hurry,
	.why = why,
	.lease = session_lease,
	.release = session_release,
	.begin = begin,
	.rewind = target_rewind,
	.failed = failed,
	.look = look_first,
	.next = look_next,
	.count_due = look_count_due,
	.count_kept = look_count_kept,
	.step = {[PHASE_MARK] = count_mark,
		[PHASE_COUNT] = count_some,
		[PHASE_LATE] = count_late,
		[PHASE_DAYS] = days_drop,
		[PHASE_READINGS] = remove_readings,
		[PHASE_ROLLUPS] = remove_rollups,
		[PHASE_STREAMS] = remove_streams,
		[PHASE_SIZE] = space_make,
		[PHASE_END] = space_end},
};
