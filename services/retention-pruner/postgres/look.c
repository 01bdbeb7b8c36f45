/* What would go, before anything does: the same judgement as guard.c's. */
#include "../jump.h"
#include "prune_postgres.h"

#define LONG_AGO_US INT64_C(-62135596800000000) /* the year 1 */

#define READINGS_BETWEEN                                                                   \
	"SELECT count(*) FROM unnest($3::integer[]) AS of (id) CROSS JOIN LATERAL"         \
	" (SELECT FROM reading WHERE sensor = of.id AND ts >= " DP_POSTGRES_TIME(          \
		"$1") " AND ts < " DP_POSTGRES_TIME("$2") ") AS r"
#define READINGS_FROM                                                                      \
	"SELECT count(*) FROM (SELECT FROM reading WHERE sensor = ANY ($3::integer[])"     \
	" AND ts >= " DP_POSTGRES_TIME("$1") " LIMIT $2) AS r"
/* Of a size, $1, the rollups from $2 on. */
#define ROLLUPS_FROM                                                                       \
	" FROM channel c CROSS JOIN LATERAL (SELECT FROM rollup WHERE size = $1"           \
	" AND sensor = c.sensor AND col = c.col AND ts >= " DP_POSTGRES_TIME("$2")
#define ROLLUPS_BETWEEN                                                                    \
	"SELECT count(*)" ROLLUPS_FROM                                                     \
	" AND ts < " DP_POSTGRES_TIME("$3") ") AS r WHERE c.sensor = ANY ($4::integer[])"
#define ROLLUPS_ENOUGH                                                                     \
	"SELECT count(*) FROM (SELECT" ROLLUPS_FROM                                        \
	") AS r WHERE c.sensor = ANY ($4::integer[]) LIMIT $3) AS kept"
#define NEWEST                                                                             \
	"SELECT " MICROSECONDS("greatest((SELECT max((SELECT max(ts) FROM reading"         \
			       " WHERE sensor = s.id)) FROM sensor AS s), (SELECT "        \
			       "max(seen) FROM stream))")

static int ask(struct prune *prune, const char *reason)
{
	prune->report.outcome = PRUNE_ASKS;
	prune->report.reason = reason;
	prune->phase = PHASE_END;
	return 0;
}

static int read_sensors(struct prune *prune)
{
	int err = db_run(prune->db, "SELECT id, topic, name FROM sensor", NULL);
	if (err != 0)
		return err;
	/* All first: an ambiguous override counts differently for each that it matches. */
	for (size_t i = 0; i < db_rows(prune->db); i++)
		policies_note(prune->run.policies, db_text(prune->db, i, 1),
			db_text(prune->db, i, 2));
	groups_begin(&prune->groups, prune->run.policies);
	for (size_t i = 0; i < db_rows(prune->db); i++)
		groups_add(&prune->groups, prune->run.policies, db_text(prune->db, i, 0),
			db_text(prune->db, i, 1), db_text(prune->db, i, 2));
	return 0;
}

/* Since when nothing was looked at. */
static int find_reference(struct prune *prune, const struct state *state)
{
	int err = 0;
	prune->reference_us = state->run_wall_us;
	/* Never before: it was no earlier than anything was stored. */
	if (state->run_wall_us == 0)
		err = step_ask(prune, NEWEST, 0, NULL, NULL, &prune->reference_us);
	if (prune->reference_us > prune->run.now_us)
		prune->reference_us = prune->run.now_us;
	return err < 0 ? err : 0;
}

int look_check(struct prune *prune)
{
	const struct prune_run *run = &prune->run;
	struct state state;
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_state(prune, &state);
	if (err == 0)
		err = read_sensors(prune);
	if (err == 0)
		err = space_size(prune, &prune->report.bytes_before);
	if (err == 0)
		err = space_rows(prune, &prune->report.rows_before);
	if (err == 0)
		err = find_reference(prune, &state);
	err = step_end(prune, err);
	if (err != 0)
		return err;
	char boot[JUMP_BOOT_MAX];
	jump_boot(boot, run->boot_id, run->synchronised);
	const struct jump_moment last = {state.run_wall_us, state.run_boot_us,
					 state.run_boot_id},
				 now = {run->now_us, run->boot_us, boot};
	if (run->dry_run)
		prune->phase = PHASE_LOOK;
	else if (run->confirmed)
		prune->phase = PHASE_MARK;
	else if (jump_seen(&last, &now))
		return ask(prune, jump_stepped);
	else
		return 1;
	return 0;
}

/* How many of the target are in a span of time. */
static int count_between(struct prune *prune, int64_t from_us, int64_t until_us, int64_t *n)
{
	const char *ids = target_group(prune)->ids;
	const int64_t readings[] = {from_us, until_us};
	const int64_t rollups[] = {prune->target.size_s, from_us, until_us};
	return prune->target.size_s == 0
		       ? step_ask(prune, READINGS_BETWEEN, 2, readings, ids, n)
		       : step_ask(prune, ROLLUPS_BETWEEN, 3, rollups, ids, n);
}

/*
 * Readings of a long span are counted bit by bit: there may be more than a statement has
 * time for. Rollups are few. @return 1 the span is at its end, 0, or an error
 */
static int count_part(struct prune *prune, int64_t from_us, int64_t until_us, int64_t *n)
{
	int64_t first_us = EVER_US, most_s = prune->strides[prune->phase].amount;
	int found = 0;
	if (prune->target.size_s > 0) {
		found = count_between(prune, from_us, until_us, n);
		return found < 0 ? found : 1;
	}
	if (prune->look_us > from_us)
		from_us = prune->look_us;
	found = days_first(prune, from_us, &first_us);
	if (first_us > from_us)
		from_us = first_us;
	int64_t end_us = from_us + most_s * 1000000;
	bool whole = end_us >= until_us;
	if (found >= 0 && from_us < until_us)
		found = count_between(prune, from_us, whole ? until_us : end_us, n);
	if (found < 0)
		return found;
	prune->look_us = whole ? INT64_MIN : end_us;
	return whole;
}

/* Go on with the target at hand, or take the next one. @return as target_next() */
static int look_on(struct prune *prune)
{
	return prune->look_us == INT64_MIN ? target_next(prune) : 1;
}

/* Where the target's age ends, seen from a time. */
static int64_t bound_us(const struct prune *prune, int64_t now_us)
{
	return now_us - target_age_us(prune) - prune->target.size_s * 1000000;
}

int look_due(struct prune *prune)
{
	int64_t n = 0;
	int found = look_on(prune);
	if (found <= 0)
		return found < 0 ? found : 1;
	if (target_age_us(prune) == 0)
		return ask(prune, jump_size_gone);
	found = count_part(prune, bound_us(prune, prune->reference_us),
		bound_us(prune, prune->run.now_us), &n);
	prune->due[target_level(prune)] += n;
	return found < 0 ? found : 0;
}

static int add_kept(struct prune *prune)
{
	const char *ids = target_group(prune)->ids;
	unsigned level = target_level(prune);
	int64_t from_us = bound_us(prune, prune->run.now_us), n = 0;
	/* Only whether there are more than would go. */
	int64_t enough = prune->due[level] - prune->kept[level];
	const int64_t readings[] = {from_us, enough};
	const int64_t rollups[] = {prune->target.size_s, from_us, enough};
	if (enough <= 0)
		return 0;
	int found = prune->target.size_s == 0
			    ? step_ask(prune, READINGS_FROM, 2, readings, ids, &n)
			    : step_ask(prune, ROLLUPS_ENOUGH, 3, rollups, ids, &n);
	prune->kept[level] += n;
	return found < 0 ? found : 0;
}

int look_kept(struct prune *prune)
{
	bool enough = true;
	for (unsigned i = 0; i < LEVELS; i++)
		enough = enough && prune->kept[i] >= prune->due[i];
	if (enough)
		return 1;
	int found = target_next(prune);
	if (found == 0)
		return ask(prune, jump_too_much);
	return found < 0 ? found : add_kept(prune);
}

/* Readings go with their day, where they do not go singly. */
static int64_t goes_before_us(const struct prune *prune)
{
	const struct groups *groups = &prune->groups;
	int64_t now_us = prune->run.now_us;
	if (target_age_us(prune) == 0)
		return EVER_US;
	if (prune->target.size_s > 0 || groups_go_singly(groups, target_group(prune)))
		return bound_us(prune, now_us);
	int64_t until_us = now_us - groups->longest_us;
	return until_us - until_us % DAY_US;
}

int look_all(struct prune *prune)
{
	int64_t n = 0;
	int found = look_on(prune);
	prune->report.outcome = PRUNE_LOOKED;
	if (found <= 0)
		return found < 0 ? found : 1;
	found = count_part(prune, LONG_AGO_US, goes_before_us(prune), &n);
	if (prune->target.size_s == 0)
		prune->report.readings += n;
	else
		prune->report.rollups += n;
	return found < 0 ? found : 0;
}
