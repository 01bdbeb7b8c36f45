#include "sqlite_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aside.h"
#include "log.h"
#include "rollup.h"
#include "room.h"
#include "rows.h"
#include "statements.h"
#include "store_lease.h"
#include "survey.h"
#include "url.h"
#include "walk.h"

#define MIN_FREE_FLOOR 1048576
#define LOG_TRIES 4
#define LOG_BYTES (1 << 20) /* of the write-ahead log: then it goes into the file */

/* What a step may do at first, at least and at most: rows, or pages of a vacuum. */
static const struct stride strides[PHASES] = {
	[PHASE_COUNT] = {.amount = 2000, .least = 50, .most = 20000, .us = STRIDE_US},
	[PHASE_LATE] = {.amount = 2000, .least = 50, .most = 20000, .us = STRIDE_US},
	[PHASE_READINGS] = {.amount = 5000, .least = 50, .most = 5000, .us = STRIDE_US},
	[PHASE_ROLLUPS] = {.amount = 5000, .least = 50, .most = 5000, .us = STRIDE_US},
	[PHASE_SIZE] = {.amount = 2000, .least = 50, .most = 5000, .us = STRIDE_US},
	[PHASE_VACUUM] = {.amount = 64, .least = 4, .most = 128, .us = STRIDE_US},
};

static const char *check_url(const char *value)
{
	return dp_url_is_postgres(value) ? "sqlite:///absolute/path/of/file.db; "
					   "retention-pruner-postgres is for PostgreSQL"
					 : dp_check_store_url(value);
}

static const char *check_min_free(int64_t bytes)
{
	return bytes == 0 || bytes >= MIN_FREE_FLOOR ? NULL : "0 or at least 1048576";
}

static void close_store(void *data)
{
	struct sqlite_store *store = data;
	sql_finalize(store);
	dp_store_close(&store->file);
	free(store);
}

/* What ingest has not met. It looks through the file when it renews its lease next, and
 * sets it aside. */
static void tell_ingest(struct sqlite_store *store)
{
	const struct dp_store *file = &store->file;
	if (dp_is_suspect(file->path, file->device, file->inode))
		return; /* it has been told */
	int err = dp_store_suspect(&store->file);
	dp_log(DP_LOG_ERROR,
		err == 0 ? "the database is damaged; ingest will look through it and set "
			   "it aside"
			 : "the database is damaged, and ingest could not be told",
		"file=%s error=\"%s\"", file->path,
		err != 0	   ? strerror(-err)
		: file->db != NULL ? sqlite3_errmsg(file->db)
				   : "it cannot be opened");
}

static int open_store(void **out, const char *url, struct job *job)
{
	struct sqlite_store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		dp_log_out_of_memory("the pruner's store");
	store->job = job;
	int err = dp_store_open(&store->file, url);
	if (err == 0)
		err = sql_prepare(store);
	if (err == -EUCLEAN)
		tell_ingest(store);
	if (err != 0) {
		close_store(store);
		return err;
	}
	*out = store;
	return 0;
}

/* ingest has begun a new file. */
static int open_again(struct sqlite_store *store)
{
	sql_finalize(store);
	store->wal_pages = store->wal_seen = 0;
	store->stuck_us = 0;
	int err = dp_store_reopen(&store->file);
	if (err == 0)
		err = sql_prepare(store);
	/* Not half open: the next attempt opens it anew. */
	if (err != 0) {
		sql_finalize(store);
		dp_store_close(&store->file);
	}
	return err;
}

/* What the connection has kept of the file may be all that is damaged, as after a good copy
 * was written over it: the next attempt reads the file anew. */
static void meet_damage(struct sqlite_store *store)
{
	tell_ingest(store);
	int err = open_again(store);
	if (err != 0 && err != -EUCLEAN)
		dp_log(DP_LOG_WARN, "cannot open the database anew, trying again",
			"file=%s error=\"%s\"", store->file.path, strerror(-err));
}

static int lease_store(void *data, struct dp_lease *lease, int64_t now_us, bool *replaced)
{
	struct sqlite_store *store = data;
	int err = store->file.db != NULL ? dp_lease_renew(&store->file, lease, now_us)
					 : -ESTALE;
	if (err == -EUCLEAN && !dp_store_is_suspect(&store->file))
		meet_damage(store);
	if (err != -ESTALE)
		return err;
	*replaced = true;
	err = open_again(store);
	if (err == -EUCLEAN)
		tell_ingest(store);
	return err != 0 ? err : dp_lease_renew(&store->file, lease, now_us);
}

static int release(void *data, struct dp_lease *lease)
{
	struct sqlite_store *store = data;
	return store->file.db != NULL ? dp_lease_release(&store->file, lease) : 0;
}

static void begin(void *data)
{
	struct sqlite_store *store = data;
	store->gain = (struct cut_gain){.begun = false};
	store->changes = sqlite3_total_changes64(store->file.db);
}

static int failed(void *data, int err)
{
	if (err == -EUCLEAN)
		meet_damage(data);
	return err == -EBADMSG ? walk_set_aside(data, -EIO) : err;
}

static int checkpoint(void *data)
{
	struct sqlite_store *store = data;
	int logged = 0, written = 0, before = -1, code = SQLITE_OK;
	if (store->wal_pages < store->wal_seen)
		store->wal_seen = 0;
	if (store->file.db == NULL ||
		store->wal_pages < store->wal_seen + LOG_BYTES / store->page_bytes)
		return 0;
	/*
	 * The log begins anew when all of it is in the file. What somebody has added
	 * meanwhile is little and goes quickly; only asking again tells.
	 */
	for (int i = 0; i < LOG_TRIES && code == SQLITE_OK && logged != before; i++) {
		before = logged;
		code = sqlite3_wal_checkpoint_v2(
			store->file.db, NULL, SQLITE_CHECKPOINT_PASSIVE, &logged, &written);
	}
	bool all = written == logged && logged == before;
	store->wal_seen = all ? store->wal_pages : 0;
	/* Somebody else is at it. */
	return code == SQLITE_BUSY ? 0 : dp_sqlite_error(code);
}

const struct prune_ops sqlite_ops = {
	.service = "retention-pruner",
	.url_fallback = "sqlite:///data/broker.db",
	.url_help = "the database: sqlite:///absolute/path/of/file.db",
	.check_url = check_url,
	.check_min_free = check_min_free,
	.strides = strides,
	.open = open_store,
	.close = close_store,
	.lease = lease_store,
	.release = release,
	.checkpoint = checkpoint,
	.begin = begin,
	.rewind = walk_rewind,
	.failed = failed,
	.look = survey_first,
	.next = survey_next,
	.count_due = survey_count_due,
	.count_kept = survey_count_kept,
	.step = {[PHASE_MARK] = rollup_mark,
		[PHASE_COUNT] = rollup_count,
		[PHASE_LATE] = rollup_late,
		[PHASE_READINGS] = rows_readings,
		[PHASE_ROLLUPS] = rows_rollups,
		[PHASE_STREAMS] = rows_streams,
		[PHASE_SIZE] = room_make,
		[PHASE_VACUUM] = room_vacuum,
		[PHASE_END] = survey_end},
};
