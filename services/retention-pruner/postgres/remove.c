/* Deleting row by row what does not go with a partition, some at a time. */
#include <stdio.h>

#include "prune_postgres.h"

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
static bool find_group(struct prune *prune)
{
	struct target *target = &prune->target;
	for (; target->group <= prune->groups.n; target->group++) {
		const struct group *group = target_group(prune);
		if (group->n > 0 &&
			(prune->day_us < 0 || groups_go_singly(&prune->groups, group)))
			return true;
	}
	return false;
}

/* The table and the group at hand, or the next ones. @return 1, 0 none, or an error */
static int find_place(struct prune *prune, char *table)
{
	int64_t begins_us = 0;
	if (prune->target.group == 0)
		prune->target.group = 1;
	for (;;) {
		int found = 1;
		snprintf(table, DAY_NAME_MAX, "reading_default");
		if (prune->day_us >= 0)
			found = days_next(prune, prune->day_us, &begins_us, table);
		if (found <= 0)
			return found;
		if (prune->day_us >= 0 && begins_us != prune->day_us) {
			prune->day_us = begins_us;
			prune->target.group = 1;
		}
		if (prune->day_us >= prune->run.now_us)
			return 0;
		if (find_group(prune))
			return 1;
		if (!some_go_singly(&prune->groups))
			return 0;
		prune->day_us = prune->day_us < 0 ? 0 : prune->day_us + DAY_US;
		prune->target.group = 1;
	}
}

/* What is counted, and only that, may go. */
static int64_t before_us(const struct prune *prune, const struct state *state)
{
	int64_t bound_us = prune->run.now_us - target_age_us(prune);
	if (prune->day_us < 0 && prune->cut_raw_us > bound_us)
		bound_us = prune->cut_raw_us;
	if (prune->run.policies->all.n > 0 && state->counted_until_us < bound_us)
		bound_us = state->counted_until_us;
	return bound_us;
}

/* @return 1 there may be more, 0 nothing is left anywhere, or an error */
static int delete_some(struct prune *prune, const struct state *state, int64_t *deleted)
{
	const int64_t most = prune->strides[PHASE_READINGS].amount;
	for (int i = 0; i < TRIES && *deleted == 0; i++) {
		char table[DAY_NAME_MAX], sql[512];
		int found = find_place(prune, table);
		if (found <= 0)
			return found;
		const int64_t numbers[] = {before_us(prune, state), most};
		snprintf(sql, sizeof(sql),
			"DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s"
			" WHERE sensor = ANY ($3::integer[])"
			" AND ts < " DP_POSTGRES_TIME("$1") " LIMIT $2))",
			table, table);
		int err = step_run(prune, sql, 2, numbers, target_group(prune)->ids);
		if (err != 0)
			return err;
		*deleted = db_changed(prune->db);
		if (*deleted < most)
			prune->target.group++;
	}
	return 1;
}

int remove_readings(struct prune *prune, int64_t *rows)
{
	int64_t deleted = 0;
	struct state state;
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_state(prune, &state);
	int found = err != 0 ? err : delete_some(prune, &state, &deleted);
	err = step_end(prune, found < 0 ? found : 0);
	if (err != 0)
		return err;
	*rows = deleted;
	prune->report.readings += deleted;
	return found == 0;
}

/* ---- rollups ---- */

static int64_t rollups_before_us(const struct prune *prune)
{
	const struct policy *policy = target_group(prune)->policy;
	int64_t size_us = prune->target.size_s * 1000000, age_us = target_age_us(prune);
	int64_t bound_us = age_us == 0 ? EVER_US : prune->run.now_us - age_us - size_us + 1;
	if (policy->n > 0 && size_us == policy->sizes[0].size_us &&
		prune->cut_rollup_us > bound_us)
		bound_us = prune->cut_rollup_us;
	return bound_us;
}

int remove_rollups(struct prune *prune, int64_t *rows)
{
	const int64_t most = prune->strides[PHASE_ROLLUPS].amount;
	int found = 1;
	/* No readings here. */
	if (prune->target.size_s == 0)
		prune->target.group = prune->groups.n;
	if (prune->target.size_s == 0)
		found = target_next(prune);
	if (found <= 0)
		return found < 0 ? found : 1;
	const int64_t numbers[] = {prune->target.size_s, rollups_before_us(prune), most};
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_run(prune,
		"DELETE FROM rollup WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM channel c"
		" CROSS JOIN LATERAL (SELECT ctid FROM rollup WHERE size = $1"
		"  AND sensor = c.sensor AND col = c.col"
		"  AND ts < " DP_POSTGRES_TIME(
			"$2") " LIMIT $3) AS r WHERE c.sensor = ANY ($4::integer[])"
			      " LIMIT $3))",
		3, numbers, target_group(prune)->ids);
	int64_t deleted = err == 0 ? db_changed(prune->db) : 0;
	err = step_end(prune, err);
	if (err != 0)
		return err;
	*rows = deleted;
	prune->report.rollups += deleted;
	if (deleted == most)
		return 0;
	found = target_next(prune);
	return found < 0 ? found : !found;
}

/* ---- streams ---- */

int remove_streams(struct prune *prune, int64_t *rows)
{
	const int64_t numbers[] = {
		prune->run.streams_before_us, STREAMS_A_STEP, prune->run.streams_kept};
	int64_t deleted = 0;
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	/* Not those that ingest has just now. */
	err = step_ask(prune,
		"WITH old AS MATERIALIZED (SELECT stream FROM stream WHERE seen "
		"< " DP_POSTGRES_TIME(
			"$1") " AND $3 < (SELECT count(*) FROM stream) AND seen <"
			      " (SELECT seen FROM stream ORDER BY seen DESC LIMIT 1"
			      " OFFSET greatest($3 - 1, 0)) LIMIT $2 FOR UPDATE SKIP "
			      "LOCKED),"
			      " gaps AS (DELETE FROM lost USING old"
			      "  WHERE lost.stream = old.stream RETURNING 1),"
			      " gone AS (DELETE FROM stream USING old"
			      "  WHERE stream.stream = old.stream RETURNING 1)"
			      " SELECT (SELECT count(*) FROM gaps) + (SELECT count(*) FROM "
			      "gone)",
		3, numbers, NULL, &deleted);
	err = step_end(prune, err < 0 ? err : 0);
	if (err != 0)
		return err;
	*rows = deleted;
	return deleted == 0;
}
