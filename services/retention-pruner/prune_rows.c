/* Deleting: the oldest of a series first, some at a time. */
#include "prune_steps.h"

#define SENSOR_COST 20 /* of looking for something to delete, in rows */
#define STREAMS_A_STEP 500

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Readings of the sensor at hand, at most so many. @return 1 no more are due, 0, error */
static int delete_some(struct prune *prune, int64_t before_us, int64_t most, int64_t *rows)
{
	const int64_t keys[] = {prune->sensor, before_us, most - 1};
	int64_t bound[3] = {prune->sensor};
	int found = prune_row(prune, FIND_BOUND, 3, keys, 2, bound + 1);
	if (found < 0)
		return found;
	prune_bind(prune, DELETE_TO, 3, bound);
	prune_bind(prune, DELETE_BEFORE, 2, keys);
	int err = prune_run(prune, found == 1 ? DELETE_TO : DELETE_BEFORE);
	*rows += sqlite3_changes64(prune->store.db);
	return err != 0 ? err : !found;
}

/* What is counted, and only that, may go. */
static int delete_readings(struct prune *prune, int64_t until_us, int64_t *rows)
{
	int64_t left = prune->strides[PHASE_READINGS].amount;
	int found = prune->sensor > 0 ? 1 : prune_next_sensor(prune);
	while (found == 1 && left > 0) {
		int64_t before_us = larger(
			prune->run.now_us - prune->policy->raw_us, prune->cut_raw_us);
		int64_t deleted = 0;
		/* It is not counted, all of it. */
		if (aside_has(&prune->aside, prune->sensor)) {
			found = prune_next_sensor(prune);
			continue;
		}
		if (prune->run.policies->all.n > 0 && before_us > until_us)
			before_us = until_us;
		int ended = delete_some(prune, before_us, left, &deleted);
		if (ended < 0)
			return ended;
		*rows += deleted;
		left -= deleted + SENSOR_COST;
		if (ended == 1)
			found = prune_next_sensor(prune);
	}
	return found;
}

int prune_readings(struct prune *prune, int64_t *rows)
{
	struct state state;
	int64_t deleted = 0, sensor = prune->sensor;
	const struct policy *policy = prune->policy;
	int found = 1, err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	err = prune_state(prune, &state);
	/* What has come too late since is counted first. */
	if (err == 0 && prune->run.policies->all.n > 0)
		err = rollup_late_some(prune);
	if (err == 1 || (err == 0 && prune->run.policies->all.n == 0))
		err = found = delete_readings(prune, state.until_us, &deleted);
	prune_bind(prune, ADD_REMOVED, 1, &deleted);
	if (err >= 0 && deleted > 0)
		err = prune_run(prune, ADD_REMOVED);
	err = prune_end(prune, err < 0 ? err : 0);
	if (err != 0) {
		prune->sensor = sensor;
		prune->policy = policy;
		return err;
	}
	*rows = deleted;
	prune->report.readings += deleted;
	return found == 0;
}

int prune_rollups(struct prune *prune, int64_t *rows)
{
	int64_t most = prune->strides[PHASE_ROLLUPS].amount, bound = 0;
	int found = prune->size_s > 0 ? 1 : prune_next_series(prune);
	if (found <= 0)
		return found < 0 ? found : 1;
	int64_t size_us = prune->size_s * 1000000;
	int64_t age_us = prune_age_us(prune->policy, size_us);
	int64_t before_us =
		age_us == 0 ? INT64_MAX : prune->run.now_us - age_us - size_us + 1;
	if (prune->policy->n > 0 && size_us == prune->policy->sizes[0].size_us)
		before_us = larger(before_us, prune->cut_rollup_us);
	const int64_t keys[] = {
		prune->size_s, prune->series_sensor, prune->series_col, before_us, most};
	int64_t range[] = {keys[0], keys[1], keys[2], before_us, 0};
	/* Looked for without a lock: nothing but us deletes rollups. */
	found = prune_row(prune, FIND_ROLLUP_BOUND, 5, range, 1, &bound);
	if (found == 0) {
		found = prune_next_series(prune);
		return found < 0 ? found : !found;
	}
	int err = found < 0 ? found : dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	found = prune_row(prune, FIND_ROLLUP_BOUND, 5, keys, 1, &range[3]);
	prune_bind(prune, DELETE_ROLLUPS, 4, range);
	err = found < 0 ? found : prune_run(prune, DELETE_ROLLUPS);
	int64_t deleted = sqlite3_changes64(prune->store.db);
	err = prune_end(prune, err);
	if (err != 0)
		return err;
	*rows = deleted;
	prune->report.rollups += deleted;
	return 0;
}

/* Before when a stream must have been seen last to go. @return 1, 0 none goes, an error */
static int streams_before(struct prune *prune, int64_t *before_us)
{
	int64_t latest_us = 0;
	*before_us = prune->run.streams_before_us;
	if (prune->run.streams_kept == 0)
		return 1;
	int found =
		prune_row(prune, STREAM_KEPT, 1, &prune->run.streams_kept, 1, &latest_us);
	if (found == 1 && latest_us < *before_us)
		*before_us = latest_us;
	return found;
}

int prune_streams(struct prune *prune, int64_t *rows)
{
	char sql[640];
	int64_t before_us;
	int found = streams_before(prune, &before_us);
	if (found <= 0)
		return found < 0 ? found : 1;
	sqlite3_snprintf(sizeof(sql), sql,
		"CREATE TEMP TABLE gone AS SELECT id FROM stream WHERE seen < %lld LIMIT "
		"%d;"
		"DELETE FROM stream_interval WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM lost WHERE stream IN (SELECT id FROM gone);"
		"DELETE FROM stream WHERE id IN (SELECT id FROM gone);"
		"DROP TABLE gone",
		(sqlite3_int64)before_us, STREAMS_A_STEP);
	int err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	int64_t before = sqlite3_total_changes64(prune->store.db);
	err = prune_end(prune, dp_sqlite_exec(prune->store.db, sql));
	if (err != 0)
		return err;
	*rows = sqlite3_total_changes64(prune->store.db) - before;
	return *rows == 0;
}
