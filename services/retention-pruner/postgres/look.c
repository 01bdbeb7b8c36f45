#include "look.h"

#include <stdio.h>

#include "days.h"
#include "postgres.h"
#include "space.h"
#include "step.h"
#include "target.h"

#define LONG_AGO_US INT64_C(-62135596800000000) /* the year 1 */

#define READINGS_BETWEEN                                                                   \
	"SELECT count(*) FROM unnest($3::integer[]) AS of (id) CROSS JOIN LATERAL"         \
	" (SELECT FROM reading WHERE sensor = of.id AND ts >= " DP_TIME_1                  \
	" AND ts < " DP_TIME_2 ") AS r"
#define READINGS_FROM                                                                      \
	"SELECT count(*) FROM (SELECT FROM reading WHERE sensor = ANY ($3::integer[])"     \
	" AND ts >= " DP_TIME_1 " LIMIT $2) AS r"
/* Of a size, $1, the rollups from $2 on. */
#define ROLLUPS_FROM                                                                       \
	" FROM channel c CROSS JOIN LATERAL (SELECT FROM rollup WHERE size = $1"           \
	" AND sensor = c.sensor AND col = c.col AND ts >= " DP_TIME_2
#define ROLLUPS_BETWEEN                                                                    \
	"SELECT count(*)" ROLLUPS_FROM " AND ts < " DP_TIME_3                              \
	") AS r WHERE c.sensor = ANY ($4::integer[])"
#define ROLLUPS_ENOUGH                                                                     \
	"SELECT count(*) FROM (SELECT" ROLLUPS_FROM                                        \
	") AS r WHERE c.sensor = ANY ($4::integer[]) LIMIT $3) AS kept"
#define NEWEST                                                                             \
	"SELECT " MICROSECONDS("greatest((SELECT max((SELECT max(ts) FROM reading"         \
			       " WHERE sensor = s.id)) FROM sensor AS s), (SELECT "        \
			       "max(seen) FROM stream))")

static int read_sensors(struct postgres_store *store)
{
	int err = db_run(store->db, "SELECT id, topic, name FROM sensor", NULL);
	if (err != 0)
		return err;
	/* All first: an ambiguous override counts differently for each that it matches. */
	for (size_t i = 0; i < db_rows(store->db); i++)
		policies_note(store->job->run.policies, db_text(store->db, i, 1),
			db_text(store->db, i, 2));
	groups_begin(&store->groups, store->job->run.policies);
	for (size_t i = 0; i < db_rows(store->db); i++)
		groups_add(&store->groups, store->job->run.policies,
			db_text(store->db, i, 0), db_text(store->db, i, 1),
			db_text(store->db, i, 2));
	return 0;
}

int look_first(void *data, struct last_run *last)
{
	struct postgres_store *store = data;
	struct prune_report *report = &store->job->report;
	struct postgres_state state;
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_state(store, &state);
	if (err == 0)
		err = read_sensors(store);
	if (err == 0)
		err = space_size(store, &report->bytes_before);
	if (err == 0)
		err = space_rows(store, &report->rows_before);
	if (err == 0 && state.run_wall_us == 0)
		err = step_ask(store, NEWEST, 0, NULL, NULL, &last->newest_us);
	err = step_end(store, err < 0 ? err : 0);
	if (err != 0)
		return err;
	last->wall_us = state.run_wall_us;
	last->boot_us = state.run_boot_us;
	snprintf(last->boot_id, sizeof(last->boot_id), "%s", state.run_boot_id);
	return 0;
}

int look_next(void *data, struct subject *subject)
{
	struct postgres_store *store = data;
	int found = target_next(store);
	if (found != 1)
		return found;
	const struct group *group = target_group(store);
	int64_t size_us = store->place.size_s * 1000000;
	int64_t age_us = policy_age_us(group->policy, size_us);
	*subject = (struct subject){.policy = group->policy, .size_us = size_us};
	subject->gone_us =
		age_us == 0 ? EVER_US : store->job->run.now_us - age_us - size_us;
	/* Readings go with their day, where they do not go singly. */
	if (size_us == 0 && !groups_go_singly(&store->groups, group)) {
		subject->gone_us = store->job->run.now_us - store->groups.longest_us;
		subject->gone_us -= subject->gone_us % DAY_US;
	}
	return 1;
}

/* Of the target, with a statement for readings and one for rollups. */
static int count(struct postgres_store *store, const char *readings, const char *rollups,
	int64_t from_us, int64_t until, int64_t *n)
{
	const char *ids = target_group(store)->ids;
	const int64_t numbers[] = {store->place.size_s, from_us, until};
	return store->place.size_s == 0 ? step_ask(store, readings, 2, numbers + 1, ids, n)
					: step_ask(store, rollups, 3, numbers, ids, n);
}

static int count_between(
	struct postgres_store *store, int64_t from_us, int64_t until_us, int64_t *n)
{
	return count(store, READINGS_BETWEEN, ROLLUPS_BETWEEN, from_us, until_us, n);
}

/*
 * Readings of a long span are counted bit by bit: there may be more than a statement has
 * time for. Rollups are few. @return 1 the span is at its end, 0, or an error
 */
int look_count_due(void *data, int64_t from_us, int64_t until_us, int64_t *n)
{
	struct postgres_store *store = data;
	int64_t first_us = EVER_US, most_s = store->job->strides[store->job->phase].amount;
	int found = 0;
	if (from_us < LONG_AGO_US)
		from_us = LONG_AGO_US;
	if (store->place.size_s > 0) {
		found = count_between(store, from_us, until_us, n);
		return found < 0 ? found : 1;
	}
	if (store->look_us > from_us)
		from_us = store->look_us;
	found = days_first(store, from_us, &first_us);
	if (first_us > from_us)
		from_us = first_us;
	int64_t end_us = from_us + most_s * 1000000;
	bool whole = end_us >= until_us;
	if (found >= 0 && from_us < until_us)
		found = count_between(store, from_us, whole ? until_us : end_us, n);
	if (found < 0)
		return found;
	store->look_us = whole ? INT64_MIN : end_us;
	return whole;
}

int look_count_kept(void *store, int64_t from_us, int64_t enough, int64_t *n)
{
	return count(store, READINGS_FROM, ROLLUPS_ENOUGH, from_us, enough, n);
}
