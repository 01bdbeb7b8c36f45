#include "room.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "statements.h"

int room_sizes(struct sqlite_store *store, int64_t *used, int64_t *whole)
{
	int64_t page = 0, pages = 0, free_pages = 0;
	int err = dp_sqlite_int(store->file.db, "PRAGMA page_size", &page);
	if (err == 0)
		err = dp_sqlite_int(store->file.db, "PRAGMA page_count", &pages);
	if (err == 0)
		err = dp_sqlite_int(store->file.db, "PRAGMA freelist_count", &free_pages);
	*whole = pages * page;
	*used = (pages - free_pages) * page;
	return err;
}

/* By how many bytes what is used is too large. */
static int excess(
	struct sqlite_store *store, int64_t *used, int64_t *too_many, bool *for_free)
{
	int64_t whole = 0, over = 0;
	struct statvfs volume;
	int err = room_sizes(store, used, &whole);
	if (err == 0 && store->job->run.max_bytes > 0)
		over = *used - store->job->run.max_bytes;
	if (err == 0 && store->job->run.min_free_bytes > 0) {
		if (statvfs(store->file.path, &volume) != 0)
			return -errno;
		int64_t available = (int64_t)(volume.f_bavail * volume.f_frsize);
		int64_t lacking =
			store->job->run.min_free_bytes - available - (whole - *used);
		*for_free = lacking > over && lacking > 0;
		if (lacking > over)
			over = lacking;
	}
	*too_many = over > 0 ? over : 0;
	return err;
}

/* The log is as long as it was when cutting gained nothing: so it still is. */
static int say_stuck(struct sqlite_store *store)
{
	time_t since = (time_t)(store->stuck_us / 1000000);
	char text[32];
	struct tm utc;
	gmtime_r(&since, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	snprintf(store->stuck, sizeof(store->stuck),
		"deleting frees nothing: a reader has held a snapshot since %s or before",
		text);
	store->job->report.reason = store->stuck;
	return 1;
}

/* @return whether the log has begun anew since cutting gained nothing, or it did gain */
static bool may_cut(struct sqlite_store *store)
{
	if (store->stuck_us != 0 && store->wal_pages < store->stuck_pages)
		store->stuck_us = 0;
	return store->stuck_us == 0;
}

/* Some of them, before anything else goes. @return 0, also when there are none, or an error
 */
static int delete_ahead(struct sqlite_store *store)
{
	struct sqlite_state state;
	int64_t deleted = 0;
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	err = sql_state(store, &state);
	if (err == 0) {
		const int64_t ahead[] = {
			cut_ahead_us(store->job->run.now_us, state.run_wall_us),
			store->job->strides[PHASE_SIZE].amount};
		err = sql_run(store, DELETE_AHEAD, 2, ahead);
		deleted = sqlite3_changes64(store->file.db);
	}
	if (err == 0 && deleted > 0)
		err = sql_run(store, ADD_REMOVED, 1, &deleted);
	err = sql_end(store, err);
	if (err != 0)
		return err;
	store->job->rows = deleted;
	store->job->report.readings += deleted;
	return 0;
}

int room_make(void *data)
{
	struct sqlite_store *store = data;
	const struct policy *policy = store->job->all;
	int64_t used = 0, over = 0, oldest = 0,
		floor_us = store->job->run.now_us - CUT_RAW_FLOOR_US;
	struct sqlite_state state;
	bool for_free = false;
	int err = excess(store, &used, &over, &for_free);
	if (err != 0 || over == 0)
		return err != 0 ? err : 1;
	if (for_free && !may_cut(store))
		return say_stuck(store);
	err = delete_ahead(store);
	if (err != 0 || store->job->rows > 0)
		return err;
	if (for_free && !cut_gains(&store->gain, over)) {
		store->stuck_us = store->job->run.now_us;
		store->stuck_pages = store->wal_pages;
		return say_stuck(store);
	}
	err = sql_state(store, &state);
	if (err != 0)
		return err;
	floor_us = policy_counted_us(policy, state.until_us, floor_us);
	/* For free space in small rounds: whether it is gained is seen after each. */
	double share = for_free ? 0 : (double)over / (double)used;
	int found = sql_row(store, OLDEST, 0, NULL, 1, &oldest);
	if (found < 0)
		return found;
	/* What is older than the last cut is of a sensor that is set aside. */
	if (oldest < store->job->cut_raw_us)
		oldest = store->job->cut_raw_us;
	if (found == 1 && oldest < floor_us) {
		store->job->cut_raw_us = cut_at(oldest, floor_us, share);
		return STEP_TO(PHASE_READINGS);
	}
	floor_us = store->job->run.now_us - CUT_ROLLUP_FLOOR_US;
	int64_t size_s = policy->n > 0 ? policy->sizes[0].size_us / 1000000 : 0;
	found = sql_row(store, OLDEST_ROLLUP, 1, &size_s, 1, &oldest);
	if (found < 0)
		return found;
	if (found == 1 && oldest < floor_us) {
		store->job->cut_rollup_us = cut_at(oldest, floor_us, share);
		return STEP_TO(PHASE_ROLLUPS);
	}
	store->job->report.reason = cut_floor_reached;
	return 1;
}

int room_vacuum(void *data)
{
	struct sqlite_store *store = data;
	char sql[64];
	int64_t before = 0, after = 0;
	int err = dp_sqlite_int(store->file.db, "PRAGMA freelist_count", &before);
	if (err != 0 || before == 0)
		return err != 0 ? err : 1;
	err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA incremental_vacuum(%d)",
		(int)store->job->strides[PHASE_VACUUM].amount);
	err = dp_sqlite_exec(store->file.db, sql);
	if (err == 0)
		err = dp_sqlite_int(store->file.db, "PRAGMA freelist_count", &after);
	err = sql_end(store, err);
	return err != 0 ? err : after == 0 || after >= before;
}
