#include "survey.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "planner.h"
#include "room.h"
#include "statements.h"
#include "walk.h"

#define NOTED_US INT64_C(86400000000)

int survey_first(void *data, struct last_run *last)
{
	struct sqlite_store *store = data;
	struct prune_report *report = &store->job->report;
	struct sqlite_state state;
	int64_t used;
	int err = sql_state(store, &state);
	if (err == 0)
		err = walk_note_sensors(store);
	if (err == 0)
		err = room_sizes(store, &used, &report->bytes_before);
	if (err != 0)
		return err;
	report->rows_before = state.next_id - 1 - state.removed;
	last->wall_us = state.run_wall_us;
	last->boot_us = state.run_boot_us;
	snprintf(last->boot_id, sizeof(last->boot_id), "%s", state.run_boot_id);
	if (last->wall_us == 0)
		err = sql_row(store, NEWEST, 0, NULL, 1, &last->newest_us);
	return err < 0 ? err : 0;
}

/* Sensors first, then the series of rollups. */
int survey_next(void *data, struct subject *subject)
{
	struct sqlite_store *store = data;
	int found = store->size_s > 0 ? 0 : walk_sensor(store);
	if (found == 0)
		found = walk_series(store);
	if (found != 1)
		return found;
	int64_t size_us = store->size_s * 1000000;
	int64_t age_us = policy_age_us(store->policy, size_us);
	*subject = (struct subject){.policy = store->policy, .size_us = size_us};
	subject->gone_us =
		age_us == 0 ? INT64_MAX : store->job->run.now_us - age_us - size_us;
	return 1;
}

/* Of what is at hand, with a statement for readings and one for rollups. */
static int count(struct sqlite_store *store, enum sqlite_statement readings,
	enum sqlite_statement rollups, int64_t from_us, int64_t until, int64_t *n)
{
	const int64_t sensor[] = {store->sensor, from_us, until};
	const int64_t series[] = {
		store->size_s, store->series_sensor, store->series_col, from_us, until};
	int err = store->size_s > 0 ? sql_row(store, rollups, 5, series, 1, n)
				    : sql_row(store, readings, 3, sensor, 1, n);
	return err < 0 ? err : 1;
}

int survey_count_due(void *store, int64_t from_us, int64_t until_us, int64_t *n)
{
	return count(store, COUNT_DUE, COUNT_ROLLUPS_DUE, from_us, until_us, n);
}

int survey_count_kept(void *store, int64_t from_us, int64_t enough, int64_t *n)
{
	return count(store, COUNT_KEPT, COUNT_ROLLUPS_KEPT, from_us, enough, n);
}

/*
 * A run that has changed nothing is noted once a day: an idle centre writes nothing. The
 * last run is there for the clock alone (jump.h), and one of the same boot and a day ago
 * says as much of that, unless this one was told to go on over a step of the clock.
 */
static bool notable(struct sqlite_store *store, const struct sqlite_state *state)
{
	const struct prune_run *run = &store->job->run;
	int64_t since_us = run->now_us - state->run_wall_us;
	return run->confirmed ||
	       sqlite3_total_changes64(store->file.db) != store->changes ||
	       strcmp(state->run_boot_id, store->job->boot) != 0 || since_us < 0 ||
	       since_us >= NOTED_US;
}

static int note_run(struct sqlite_store *store)
{
	const int64_t when[] = {store->job->run.now_us, store->job->run.boot_us};
	sqlite3_stmt *set = sql_bind(store, SET_RUN, 2, when);
	sqlite3_bind_text(set, 3, store->job->boot, -1, SQLITE_STATIC);
	return dp_sqlite_run(set);
}

/* What the run comes to, and that there was one. */
int survey_end(void *data)
{
	struct sqlite_store *store = data;
	struct prune_report *report = &store->job->report;
	struct sqlite_state state = {.next_id = 0};
	int64_t used;
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	err = sql_state(store, &state);
	bool note = err == 0 && report->outcome == PRUNE_DID && notable(store, &state);
	if (note)
		err = note_run(store);
	if (err == 0)
		err = room_sizes(store, &used, &report->bytes_after);
	if (err == 0)
		err = sql_row(store, OLDEST, 0, NULL, 1, &report->oldest_us);
	report->rows_after = state.next_id - 1 - state.removed;
	if (err >= 0 && note)
		err = planner_tell(store, report->rows_after);
	err = sql_end(store, err < 0 ? err : 0);
	return err != 0 ? err : 1;
}
