#include "remove.h"

#include <stdio.h>

#include "days.h"
#include "postgres.h"
#include "step.h"
#include "target.h"

#define TRIES 16 /* places of a step where there is nothing to delete */
#define STREAMS_A_STEP 500

/* ---- readings ---- */

static bool some_go_singly(const struct groups *groups)
{
	for (size_t i = 0; i < groups->n; i++) {
		if (groups->at[i].n > 0 && groups_go_singly(groups, &groups->at[i]))
			return true;
	}
	return false;
}

/* From the group at hand on: one whose readings are deleted in this table. */
static bool find_group(struct postgres_store *store)
{
	struct place *place = &store->place;
	for (; place->group <= store->groups.n; place->group++) {
		const struct group *group = target_group(store);
		if (group->n > 0 && (store->place.day_us < 0 ||
					    groups_go_singly(&store->groups, group)))
			return true;
	}
	return false;
}

/* The table and the group at hand, or the next ones. @return 1, 0 none, or an error */
static int find_place(struct postgres_store *store, char *table)
{
	int64_t begins_us = 0;
	if (store->place.group == 0)
		store->place.group = 1;
	for (;;) {
		int found = 1;
		snprintf(table, DAY_NAME_MAX, "reading_default");
		if (store->place.day_us >= 0)
			found = days_next(store, store->place.day_us, &begins_us, table);
		if (found <= 0)
			return found;
		if (store->place.day_us >= 0 && begins_us != store->place.day_us) {
			store->place.day_us = begins_us;
			store->place.group = 1;
		}
		if (store->place.day_us >= store->job->run.now_us)
			return 0;
		if (find_group(store))
			return 1;
		if (!some_go_singly(&store->groups))
			return 0;
		store->place.day_us =
			store->place.day_us < 0 ? 0 : store->place.day_us + DAY_US;
		store->place.group = 1;
	}
}

static int64_t before_us(
	const struct postgres_store *store, const struct postgres_state *state)
{
	int64_t bound_us = store->job->run.now_us - target_group(store)->policy->raw_us;
	if (store->place.day_us < 0 && store->job->cut_raw_us > bound_us)
		bound_us = store->job->cut_raw_us;
	return policy_counted_us(store->job->all, state->counted_until_us, bound_us);
}

/* @return 1 there may be more, 0 nothing is left anywhere, or an error */
static int delete_some(
	struct postgres_store *store, const struct postgres_state *state, int64_t *deleted)
{
	const int64_t most = store->job->strides[PHASE_READINGS].amount;
	for (int i = 0; i < TRIES && *deleted == 0; i++) {
		char table[DAY_NAME_MAX], sql[512];
		int found = find_place(store, table);
		if (found <= 0)
			return found;
		const int64_t numbers[] = {before_us(store, state), most};
		snprintf(sql, sizeof(sql),
			"DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s"
			" WHERE sensor = ANY ($3::integer[])"
			" AND ts < " DP_TIME_1 " LIMIT $2))",
			table, table);
		int err = step_run(store, sql, 2, numbers, target_group(store)->ids);
		if (err != 0)
			return err;
		*deleted = db_changed(store->db);
		if (*deleted < most)
			store->place.group++;
	}
	return 1;
}

int remove_readings(void *data)
{
	struct postgres_store *store = data;
	const struct place place = store->place;
	int64_t deleted = 0;
	struct postgres_state state;
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_state(store, &state);
	int found = err != 0 ? err : delete_some(store, &state, &deleted);
	err = step_end(store, found < 0 ? found : 0);
	if (err != 0) {
		store->place = place;
		return err;
	}
	store->job->rows = deleted;
	store->job->report.readings += deleted;
	return found == 0;
}

/* ---- rollups ---- */

static int64_t rollups_before_us(const struct postgres_store *store)
{
	const struct policy *policy = target_group(store)->policy;
	int64_t size_us = store->place.size_s * 1000000,
		age_us = policy_age_us(policy, size_us);
	int64_t bound_us =
		age_us == 0 ? EVER_US : store->job->run.now_us - age_us - size_us + 1;
	if (policy->n > 0 && size_us == policy->sizes[0].size_us &&
		store->job->cut_rollup_us > bound_us)
		bound_us = store->job->cut_rollup_us;
	return bound_us;
}

int remove_rollups(void *data)
{
	struct postgres_store *store = data;
	const int64_t most = store->job->strides[PHASE_ROLLUPS].amount;
	int found = 1;
	/* No readings here. */
	if (store->place.size_s == 0)
		store->place.group = store->groups.n;
	if (store->place.size_s == 0)
		found = target_next(store);
	if (found <= 0)
		return found < 0 ? found : 1;
	const int64_t numbers[] = {store->place.size_s, rollups_before_us(store), most};
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_run(store,
		"DELETE FROM rollup WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM channel c"
		" CROSS JOIN LATERAL (SELECT ctid FROM rollup WHERE size = $1"
		"  AND sensor = c.sensor AND col = c.col"
		"  AND ts < " DP_TIME_2
		"  LIMIT $3) AS r WHERE c.sensor = ANY ($4::integer[]) LIMIT $3))",
		3, numbers, target_group(store)->ids);
	int64_t deleted = err == 0 ? db_changed(store->db) : 0;
	err = step_end(store, err);
	if (err != 0)
		return err;
	store->job->rows = deleted;
	store->job->report.rollups += deleted;
	if (deleted == most)
		return 0;
	found = target_next(store);
	return found < 0 ? found : !found;
}

/* ---- streams ---- */

int remove_streams(void *data)
{
	struct postgres_store *store = data;
	const int64_t numbers[] = {store->job->run.streams_before_us, STREAMS_A_STEP,
		store->job->run.streams_kept};
	int64_t deleted = 0;
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	/* Not those that ingest has just now. */
	err = step_ask(store,
		"WITH old AS MATERIALIZED (SELECT stream FROM stream"
		"  WHERE seen < " DP_TIME_1 " AND $3 < (SELECT count(*) FROM stream)"
		"  AND seen < (SELECT seen FROM stream ORDER BY seen DESC LIMIT 1"
		"   OFFSET greatest($3 - 1, 0)) LIMIT $2 FOR UPDATE SKIP LOCKED),"
		" gaps AS (DELETE FROM lost USING old"
		"  WHERE lost.stream = old.stream RETURNING 1),"
		" gone AS (DELETE FROM stream USING old"
		"  WHERE stream.stream = old.stream RETURNING 1)"
		" SELECT (SELECT count(*) FROM gaps) + (SELECT count(*) FROM gone)",
		3, numbers, NULL, &deleted);
	err = step_end(store, err < 0 ? err : 0);
	if (err != 0)
		return err;
	store->job->rows = deleted;
	return deleted == 0;
}
