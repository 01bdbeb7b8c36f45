#include "rows.h"

#include "rollup.h"
#include "statements.h"
#include "walk.h"

#define SENSOR_COST 20 /* looking at a sensor takes as long as deleting so many rows */
#define STREAMS_A_STEP 500

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Readings of the sensor at hand, at most so many. @return 1 no more are due, 0, error */
static int delete_some(
	struct sqlite_store *store, int64_t before_us, int64_t most, int64_t *rows)
{
	const int64_t keys[] = {store->sensor, before_us, most - 1};
	int64_t bound[3] = {store->sensor};
	int found = sql_row(store, FIND_BOUND, 3, keys, 2, bound + 1);
	if (found < 0)
		return found;
	int err = found == 1 ? sql_run(store, DELETE_TO, 3, bound)
			     : sql_run(store, DELETE_BEFORE, 2, keys);
	*rows += sqlite3_changes64(store->file.db);
	return err != 0 ? err : !found;
}

static int delete_readings(struct sqlite_store *store, int64_t until_us, int64_t *rows)
{
	int64_t left = store->job->strides[PHASE_READINGS].amount;
	int found = store->sensor > 0 ? 1 : walk_sensor(store);
	while (found == 1 && left > 0) {
		int64_t before_us = larger(store->job->run.now_us - store->policy->raw_us,
			store->job->cut_raw_us);
		int64_t deleted = 0;
		/* It is not counted, all of it. */
		if (aside_has(&store->job->aside, store->sensor)) {
			found = walk_sensor(store);
			continue;
		}
		before_us = policy_counted_us(store->job->all, until_us, before_us);
		int ended = delete_some(store, before_us, left, &deleted);
		if (ended < 0)
			return ended;
		*rows += deleted;
		left -= deleted + SENSOR_COST;
		if (ended == 1)
			found = walk_sensor(store);
	}
	return found;
}

int rows_readings(void *data)
{
	struct sqlite_store *store = data;
	struct sqlite_state state;
	int64_t deleted = 0, sensor = store->sensor;
	const struct policy *policy = store->policy;
	int found = 1, err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	err = sql_state(store, &state);
	/* What has come too late since is counted first. */
	if (err == 0 && store->job->all->n > 0)
		err = rollup_late_some(store);
	if (err == 1 || (err == 0 && store->job->all->n == 0))
		err = found = delete_readings(store, state.until_us, &deleted);
	if (err >= 0 && deleted > 0)
		err = sql_run(store, ADD_REMOVED, 1, &deleted);
	err = sql_end(store, err < 0 ? err : 0);
	if (err != 0) {
		store->sensor = sensor;
		store->policy = policy;
		return err;
	}
	store->job->rows = deleted;
	store->job->report.readings += deleted;
	return found == 0;
}

int rows_rollups(void *data)
{
	struct sqlite_store *store = data;
	int64_t most = store->job->strides[PHASE_ROLLUPS].amount, bound = 0;
	int found = store->size_s > 0 ? 1 : walk_series(store);
	if (found <= 0)
		return found < 0 ? found : 1;
	int64_t size_us = store->size_s * 1000000;
	int64_t age_us = policy_age_us(store->policy, size_us);
	int64_t before_us =
		age_us == 0 ? INT64_MAX : store->job->run.now_us - age_us - size_us + 1;
	if (store->policy->n > 0 && size_us == store->policy->sizes[0].size_us)
		before_us = larger(before_us, store->job->cut_rollup_us);
	const int64_t keys[] = {
		store->size_s, store->series_sensor, store->series_col, before_us, most};
	int64_t range[] = {keys[0], keys[1], keys[2], before_us, 0};
	/* Looked for without a lock: nothing but us deletes rollups. */
	found = sql_row(store, FIND_ROLLUP_BOUND, 5, range, 1, &bound);
	if (found == 0) {
		found = walk_series(store);
		return found < 0 ? found : !found;
	}
	int err = found < 0 ? found : dp_store_begin(&store->file);
	if (err != 0)
		return err;
	found = sql_row(store, FIND_ROLLUP_BOUND, 5, keys, 1, &range[3]);
	err = found < 0 ? found : sql_run(store, DELETE_ROLLUPS, 4, range);
	int64_t deleted = sqlite3_changes64(store->file.db);
	err = sql_end(store, err);
	if (err != 0)
		return err;
	store->job->rows = deleted;
	store->job->report.rollups += deleted;
	return 0;
}

/* Before when a stream must have been seen last to go. @return 1, 0 none goes, an error */
static int streams_before(struct sqlite_store *store, int64_t *before_us)
{
	int64_t latest_us = 0;
	*before_us = store->job->run.streams_before_us;
	if (store->job->run.streams_kept == 0)
		return 1;
	int found = sql_row(
		store, STREAM_KEPT, 1, &store->job->run.streams_kept, 1, &latest_us);
	if (found == 1 && latest_us < *before_us)
		*before_us = latest_us;
	return found;
}

int rows_streams(void *data)
{
	struct sqlite_store *store = data;
	char sql[640];
	int64_t before_us;
	int found = streams_before(store, &before_us);
	if (found <= 0)
		return found < 0 ? found : 1;
	sqlite3_snprintf(sizeof(sql), sql,
		"CREATE TEMP TABLE gone AS SELECT id FROM stream WHERE seen < %lld"
		" LIMIT %d;"
		"DELETE FROM stream_interval WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM lost WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM stream WHERE id IN (SELECT id FROM gone);"
		"DROP TABLE gone",
		(sqlite3_int64)before_us, STREAMS_A_STEP);
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	int64_t before = sqlite3_total_changes64(store->file.db);
	err = sql_end(store, dp_sqlite_exec(store->file.db, sql));
	if (err != 0)
		return err;
	store->job->rows = sqlite3_total_changes64(store->file.db) - before;
	return store->job->rows == 0;
}
