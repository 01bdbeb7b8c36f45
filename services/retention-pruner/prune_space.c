/* How large the database is, what else has to go, and giving free pages back. */
#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "prune_steps.h"

int space_sizes(struct prune *prune, int64_t *used, int64_t *whole)
{
	int64_t page = 0, pages = 0, free_pages = 0;
	int err = dp_sqlite_int(prune->store.db, "PRAGMA page_size", &page);
	if (err == 0)
		err = dp_sqlite_int(prune->store.db, "PRAGMA page_count", &pages);
	if (err == 0)
		err = dp_sqlite_int(prune->store.db, "PRAGMA freelist_count", &free_pages);
	*whole = pages * page;
	*used = (pages - free_pages) * page;
	return err;
}

/* By how many bytes what is used is too large. */
static int excess(struct prune *prune, int64_t *used, int64_t *too_many, bool *for_free)
{
	int64_t whole = 0, over = 0;
	struct statvfs volume;
	int err = space_sizes(prune, used, &whole);
	if (err == 0 && prune->run.max_bytes > 0)
		over = *used - prune->run.max_bytes;
	if (err == 0 && prune->run.min_free_bytes > 0) {
		if (statvfs(prune->store.path, &volume) != 0)
			return -errno;
		int64_t available = (int64_t)(volume.f_bavail * volume.f_frsize);
		int64_t lacking = prune->run.min_free_bytes - available - (whole - *used);
		*for_free = lacking > over && lacking > 0;
		if (lacking > over)
			over = lacking;
	}
	*too_many = over > 0 ? over : 0;
	return err;
}

/* The log is as long as it was when cutting gained nothing: so it still is. */
static int say_held(struct prune *prune)
{
	time_t since = (time_t)(prune->held_us / 1000000);
	char text[32];
	struct tm utc;
	gmtime_r(&since, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	snprintf(prune->held, sizeof(prune->held),
		"deleting frees nothing: a reader has held a snapshot since %s or before",
		text);
	prune->report.reason = prune->held;
	return 1;
}

/* @return whether the log has begun anew since cutting gained nothing, or it did gain */
static bool may_cut(struct prune *prune)
{
	if (prune->held_us != 0 && prune->wal_pages < prune->held_pages)
		prune->held_us = 0;
	return prune->held_us == 0;
}

/* Some of them, before anything else goes. @return 0, also when there are none, or an error
 */
static int delete_ahead(struct prune *prune, int64_t *rows)
{
	struct state state;
	int64_t deleted = 0;
	int err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	err = prune_state(prune, &state);
	if (err == 0) {
		const int64_t ahead[] = {cut_ahead_us(prune->run.now_us, state.run_wall_us),
			prune->strides[PHASE_SIZE].amount};
		prune_bind(prune, DELETE_AHEAD, 2, ahead);
		err = prune_run(prune, DELETE_AHEAD);
		deleted = sqlite3_changes64(prune->store.db);
	}
	if (err == 0 && deleted > 0) {
		prune_bind(prune, ADD_REMOVED, 1, &deleted);
		err = prune_run(prune, ADD_REMOVED);
	}
	err = prune_end(prune, err);
	if (err != 0)
		return err;
	*rows = deleted;
	prune->report.readings += deleted;
	return 0;
}

int space_check(struct prune *prune, int64_t *rows)
{
	const struct policy *policy = &prune->run.policies->all;
	int64_t used = 0, over = 0, oldest = 0,
		floor_us = prune->run.now_us - CUT_RAW_FLOOR_US;
	struct state state;
	bool for_free = false;
	int err = excess(prune, &used, &over, &for_free);
	if (err != 0 || over == 0)
		return err != 0 ? err : 1;
	if (for_free && !may_cut(prune))
		return say_held(prune);
	err = delete_ahead(prune, rows);
	if (err != 0 || *rows > 0)
		return err;
	if (for_free && !cut_gains(&prune->gain, over)) {
		prune->held_us = prune->run.now_us;
		prune->held_pages = prune->wal_pages;
		return say_held(prune);
	}
	err = prune_state(prune, &state);
	if (err != 0)
		return err;
	/* What is not counted yet does not go. */
	if (policy->n > 0 && state.until_us < floor_us)
		floor_us = state.until_us;
	/* For free space in small rounds: whether it is gained is seen after each. */
	double share = for_free ? 0 : (double)over / (double)used;
	int found = prune_row(prune, OLDEST, 0, NULL, 1, &oldest);
	if (found < 0)
		return found;
	prune->sensor = prune->size_s = 0;
	/* What is older than the last cut is of a sensor that is set aside. */
	if (oldest < prune->cut_raw_us)
		oldest = prune->cut_raw_us;
	if (found == 1 && oldest < floor_us) {
		prune->cut_raw_us = cut_at(oldest, floor_us, share);
		prune->phase = PHASE_READINGS;
		return 0;
	}
	floor_us = prune->run.now_us - CUT_ROLLUP_FLOOR_US;
	int64_t size_s = policy->n > 0 ? policy->sizes[0].size_us / 1000000 : 0;
	found = prune_row(prune, OLDEST_ROLLUP, 1, &size_s, 1, &oldest);
	if (found < 0)
		return found;
	if (found == 1 && oldest < floor_us) {
		prune->cut_rollup_us = cut_at(oldest, floor_us, share);
		prune->phase = PHASE_ROLLUPS;
		return 0;
	}
	prune->report.reason = cut_floor_reached;
	return 1;
}

int space_vacuum(struct prune *prune)
{
	char sql[64];
	int64_t before = 0, after = 0;
	int err = dp_sqlite_int(prune->store.db, "PRAGMA freelist_count", &before);
	if (err != 0 || before == 0)
		return err != 0 ? err : 1;
	err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA incremental_vacuum(%d)",
		(int)prune->strides[PHASE_VACUUM].amount);
	err = dp_sqlite_exec(prune->store.db, sql);
	if (err == 0)
		err = dp_sqlite_int(prune->store.db, "PRAGMA freelist_count", &after);
	err = prune_end(prune, err);
	return err != 0 ? err : after == 0 || after >= before;
}
