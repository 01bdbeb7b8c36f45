/*
 * Counting readings in their buckets. Each is counted once: the transaction that counts it
 * also moves the mark that says so (see schema_2.sql), so it does not matter where a run
 * ends, and a bucket is never made anew from readings of which some may be gone.
 */
#include "rollup.h"

#include <errno.h>
#include <stdio.h>

#include "../bucket.h"
#include "statements.h"
#include "walk.h"

#define COST 4 /* of a bucket or a sensor, in readings */

/* Where a scan begins, up to where it may go, and which readings it may count. */
struct span {
	int64_t sensor, ts_us, id; /* behind this one; afterwards: behind the last one */
	int64_t until_us;
	int64_t first_id, before_id;
};

struct counting {
	struct sqlite_store *store;
	struct fold fold;
	int64_t sensor;
	int64_t left; /* of the step */
};

static int add_bucket(
	void *data, int64_t size_us, unsigned column, const struct bucket *bucket)
{
	struct counting *counting = data;
	const int64_t keys[] = {size_us / 1000000, counting->sensor, column,
		bucket->start_us, bucket->count};
	sqlite3_stmt *add = sql_bind(counting->store, ADD_BUCKET, 5, keys);
	sqlite3_bind_double(add, 6, bucket->min);
	sqlite3_bind_double(add, 7, bucket->max);
	sqlite3_bind_double(add, 8, bucket_sum(bucket));
	sqlite3_bind_double(add, 9, bucket->first);
	sqlite3_bind_double(add, 10, bucket->last);
	sqlite3_bind_int64(add, 11, bucket->first_us - bucket->start_us);
	sqlite3_bind_int64(add, 12, bucket->last_us - bucket->start_us);
	counting->left -= COST;
	int err = dp_sqlite_run(add);
	/* What is there already cannot be added to: that is no matter of other sensors. */
	int code = sqlite3_errcode(counting->store->file.db);
	if (err != 0 && (code & 0xff) == SQLITE_CONSTRAINT) {
		counting->store->uncounted = counting->sensor;
		snprintf(counting->store->uncounted_why,
			sizeof(counting->store->uncounted_why), "%s",
			sqlite3_errmsg(counting->store->file.db));
		return -EBADMSG;
	}
	return err;
}

static int add_row(struct counting *counting, sqlite3_stmt *row, int64_t ts_us)
{
	int columns = sqlite3_column_count(row);
	int err = fold_time(&counting->fold, ts_us);
	for (int i = 2; i < columns && err == 0; i++) {
		if (sqlite3_column_type(row, i) == SQLITE_NULL)
			continue;
		double value = sqlite3_column_double(row, i);
		if (bucket_may_count(value))
			fold_value(&counting->fold, ts_us, (unsigned)i - 2, value);
		else
			counting->store->job->report.odd++;
	}
	counting->store->job->report.counted++;
	return err;
}

/* Count what the step has left for. @return 1 the span is at its end, 0, or an error */
static int count_span(struct counting *counting, struct span *span)
{
	struct sqlite_store *store = counting->store;
	int64_t column = 0, limit = counting->left > 0 ? counting->left : 1, scanned = 0;
	const int64_t from[] = {span->sensor, span->ts_us, span->id, span->until_us, limit};
	int code, err = sql_row(store, WIDTH, 1, &span->sensor, 1, &column);
	if (err < 0)
		return err;
	sqlite3_stmt *scan = sql_bind(store, column > 1 ? SCAN_WIDE : SCAN, 5, from);
	fold_init(&counting->fold, store->job->all, add_bucket, counting);
	counting->sensor = span->sensor;
	err = 0;
	while (err == 0 && (code = sqlite3_step(scan)) == SQLITE_ROW) {
		span->ts_us = sqlite3_column_int64(scan, 0);
		span->id = sqlite3_column_int64(scan, 1);
		scanned++;
		if (span->id >= span->first_id && span->id < span->before_id)
			err = add_row(counting, scan, span->ts_us);
	}
	sqlite3_reset(scan);
	if (err == 0)
		err = dp_sqlite_error(code);
	if (err == 0)
		err = fold_end(&counting->fold);
	counting->left -= scanned + COST;
	return err != 0 ? err : scanned < limit;
}

/* ---- what is counted for the first time ---- */

/* Nobody wants to know any more. @return whether there is something to forget, or an error
 */
static int forgettable(struct sqlite_store *store, const struct sqlite_state *state)
{
	const int64_t any[] = {INT64_MIN, INT64_MIN};
	int64_t late[6];
	return state->since_us != state->until_us
		       ? 1
		       : sql_row(store, NEXT_LATE, 2, any, 6, late);
}

/* @return whether there are readings between the last mark and ours, or an error */
static int markable(struct sqlite_store *store, const struct sqlite_state *state)
{
	const int64_t span[] = {state->until_us, store->job->mark_us};
	int64_t one;
	if (state->since_us != state->until_us || span[1] <= span[0])
		return 0;
	/* Most probably, when there are any that the last mark did not know. */
	return state->next_id != state->before_id
		       ? 1
		       : sql_row(store, UNCOUNTED, 2, span, 1, &one);
}

static int set_mark(struct sqlite_store *store, const struct sqlite_state *state)
{
	bool forget = store->job->all->n == 0;
	int due = forget ? forgettable(store, state) : markable(store, state);
	if (due <= 0)
		return due;
	const int64_t mark[] = {state->until_us,
		forget ? state->until_us : store->job->mark_us,
		forget ? state->before_id : state->next_id};
	int err = sql_run(store, SET_MARK, 3, mark);
	return err == 0 && forget ? sql_run(store, FORGET_LATE, 0, NULL) : err;
}

int rollup_mark(void *data)
{
	struct sqlite_store *store = data;
	struct sqlite_state state;
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	err = sql_state(store, &state);
	if (err == 0)
		err = set_mark(store, &state);
	err = sql_end(store, err);
	return err != 0 ? err : 1;
}

static int next_sensor(struct sqlite_store *store, struct sqlite_state *state)
{
	int64_t sensor = store->sensor;
	store->sensor = state->sensor;
	int found = walk_sensor(store);
	state->sensor = store->sensor;
	store->sensor = sensor;
	state->ts_us = state->since_us;
	state->id = 0;
	return found;
}

/*
 * What is not counted of a sensor counts as late. No id is negative, so its row is no
 * other's, and none of an earlier run.
 */
static int leave_late(struct sqlite_store *store, const struct sqlite_state *state)
{
	const int64_t row[] = {state->sensor, -state->until_us, state->before_id - 1,
		state->ts_us, state->id, state->until_us - 1};
	return sql_run(store, LEAVE_LATE, 6, row);
}

static int count_some(struct sqlite_store *store, struct sqlite_state *state)
{
	struct counting counting = {
		.store = store, .left = store->job->strides[PHASE_COUNT].amount};
	int found = state->sensor > 0 ? 1 : next_sensor(store, state);
	while (found == 1 && counting.left > 0) {
		if (aside_has(&store->job->aside, state->sensor)) {
			int err = leave_late(store, state);
			if (err != 0)
				return err;
			found = next_sensor(store, state);
			continue;
		}
		struct span span = {.sensor = state->sensor,
			.ts_us = state->ts_us,
			.id = state->id,
			.until_us = state->until_us,
			.before_id = state->before_id};
		int ended = count_span(&counting, &span);
		if (ended < 0)
			return ended;
		state->ts_us = span.ts_us;
		state->id = span.id;
		if (ended == 1)
			found = next_sensor(store, state);
	}
	return found;
}

int rollup_count(void *data)
{
	struct sqlite_store *store = data;
	struct sqlite_state state;
	const struct prune_report report = store->job->report;
	bool over = true, marked;
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	err = sql_state(store, &state);
	marked = err == 0 && state.since_us < state.until_us;
	if (marked) {
		int found = count_some(store, &state);
		err = found < 0 ? found : 0;
		over = found == 0;
		const int64_t cursor[] = {state.sensor, state.ts_us, state.id};
		const int64_t mark[] = {state.until_us, state.until_us, state.before_id};
		if (err == 0)
			err = over ? sql_run(store, SET_MARK, 3, mark)
				   : sql_run(store, SET_CURSOR, 3, cursor);
	}
	err = sql_end(store, err);
	if (err != 0) {
		store->job->report = report;
		return err;
	}
	/* An earlier run's mark is reached: now for ours. */
	if (marked && over && store->job->mark_us > state.until_us)
		return STEP_TO(PHASE_MARK);
	return over;
}

/* ---- what came too late ---- */

int rollup_late_some(struct sqlite_store *store)
{
	struct counting counting = {
		.store = store, .left = store->job->strides[PHASE_LATE].amount};
	int64_t late[6], behind[] = {INT64_MIN, INT64_MIN};
	int found = 1;
	while (counting.left > 0 &&
		(found = sql_row(store, NEXT_LATE, 2, behind, 6, late)) == 1) {
		behind[0] = late[0];
		behind[1] = late[1];
		if (aside_has(&store->job->aside, late[0])) {
			behind[1] = INT64_MAX;
			continue;
		}
		struct span span = {.sensor = late[0],
			.ts_us = late[3],
			.id = late[4],
			.until_us = late[5] + 1,
			.first_id = late[1],
			.before_id = late[2] + 1};
		int ended = count_span(&counting, &span);
		const int64_t rest[] = {span.ts_us, span.id, span.sensor, late[1]};
		if (ended >= 0)
			found = ended == 1 ? sql_run(store, DROP_LATE, 2, late)
					   : sql_run(store, SET_LATE, 4, rest);
		if (ended < 0 || found < 0)
			return ended < 0 ? ended : found;
	}
	return found < 0 ? found : found == 0 && counting.left > 0;
}

int rollup_late(void *data)
{
	struct sqlite_store *store = data;
	const struct prune_report report = store->job->report;
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	int over = rollup_late_some(store);
	err = sql_end(store, over < 0 ? over : 0);
	if (err != 0)
		store->job->report = report;
	return err != 0 ? err : over;
}
