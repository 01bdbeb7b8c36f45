/*
 * What would go, before anything does. A clock that jumps forward makes everything old at
 * once: a run that would take more than half of what the last policy period has brought, or
 * that follows a step of the clock, asks first.
 */
#include "jump.h"
#include "prune_steps.h"

static bool stepped(const struct prune_run *run, const struct state *state)
{
	char boot[JUMP_BOOT_MAX];
	jump_boot(boot, run->boot_id, run->synchronised);
	const struct jump_moment last = {state->run_wall_us, state->run_boot_us,
					 state->run_boot_id},
				 now = {run->now_us, run->boot_us, boot};
	return jump_seen(&last, &now);
}

static int ask(struct prune *prune, const char *reason)
{
	prune->report.outcome = PRUNE_ASKS;
	prune->report.reason = reason;
	prune->phase = PHASE_END;
	return 0;
}

int guard_check(struct prune *prune)
{
	struct state state;
	int64_t used, newest = 0;
	int err = prune_state(prune, &state);
	if (err == 0)
		err = prune_note_sensors(prune);
	if (err == 0)
		err = space_sizes(prune, &used, &prune->report.bytes_before);
	if (err != 0)
		return err;
	prune->report.rows_before = state.next_id - 1 - state.removed;
	if (prune->run.dry_run) {
		prune->phase = PHASE_LOOK;
		return 0;
	}
	if (prune->run.confirmed) {
		prune->phase = PHASE_MARK;
		return 0;
	}
	if (stepped(&prune->run, &state))
		return ask(prune, jump_stepped);
	prune->reference_us = state.run_wall_us;
	if (state.run_wall_us == 0) {
		/* Never before: it was no earlier than anything was stored. */
		err = prune_row(prune, NEWEST, 0, NULL, 1, &newest);
		prune->reference_us = newest;
	}
	if (prune->reference_us > prune->run.now_us)
		prune->reference_us = prune->run.now_us;
	return err < 0 ? err : 1;
}

/* Readings of the sensor at hand, from the last policy period: those that would go. */
static int add_due(struct prune *prune)
{
	int64_t age_us = prune->policy->raw_us, n = 0;
	const int64_t window[] = {
		prune->sensor, prune->reference_us - age_us, prune->run.now_us - age_us};
	int err = prune_row(prune, COUNT_DUE, 3, window, 1, &n);
	prune->due[0] += n;
	return err < 0 ? err : 0;
}

/* Which of due[] and kept[] a size has. */
static unsigned level_of(const struct policy *policy, int64_t size_us)
{
	unsigned i = 0;
	while (i < policy->n && policy->sizes[i].size_us != size_us)
		i++;
	return i + 1;
}

static int add_rollups_due(struct prune *prune)
{
	int64_t size_us = prune->size_s * 1000000, n = 0;
	int64_t age_us = prune_age_us(prune->policy, size_us);
	if (age_us == 0)
		return ask(prune, jump_size_gone);
	const int64_t window[] = {prune->size_s, prune->series_sensor, prune->series_col,
		prune->reference_us - age_us - size_us,
		prune->run.now_us - age_us - size_us};
	int err = prune_row(prune, COUNT_ROLLUPS_DUE, 5, window, 1, &n);
	prune->due[level_of(prune->policy, size_us)] += n;
	return err < 0 ? err : 0;
}

/* Sensors first, then the series of rollups. @return as prune_next_series() */
static int next(struct prune *prune, bool *rollups)
{
	*rollups = prune->size_s > 0;
	int found = *rollups ? 0 : prune_next_sensor(prune);
	if (found != 0)
		return found;
	*rollups = true;
	return prune_next_series(prune);
}

/* From the first one again. @return 1 */
static int rewind_all(struct prune *prune)
{
	prune->sensor = prune->size_s = 0;
	return 1;
}

int guard_due(struct prune *prune)
{
	bool rollups;
	int found = next(prune, &rollups);
	if (found <= 0)
		return found < 0 ? found : rewind_all(prune);
	return rollups ? add_rollups_due(prune) : add_due(prune);
}

static int add_kept(struct prune *prune, bool rollups)
{
	int64_t size_us = rollups ? prune->size_s * 1000000 : 0, n = 0;
	unsigned level = rollups ? level_of(prune->policy, size_us) : 0;
	int64_t age_us =
		rollups ? prune_age_us(prune->policy, size_us) : prune->policy->raw_us;
	int64_t from_us = prune->run.now_us - age_us - size_us;
	/* Only whether there are more than would go. */
	int64_t enough = prune->due[level] - prune->kept[level];
	const int64_t series[] = {
		prune->size_s, prune->series_sensor, prune->series_col, from_us, enough};
	const int64_t sensor[] = {prune->sensor, from_us, enough};
	if (enough <= 0)
		return 0;
	int err = rollups ? prune_row(prune, COUNT_ROLLUPS_KEPT, 5, series, 1, &n)
			  : prune_row(prune, COUNT_KEPT, 3, sensor, 1, &n);
	prune->kept[level] += n;
	return err < 0 ? err : 0;
}

int guard_kept(struct prune *prune)
{
	bool rollups, enough = true;
	for (unsigned i = 0; i < LEVELS; i++)
		enough = enough && prune->kept[i] >= prune->due[i];
	int found = enough ? 0 : next(prune, &rollups);
	if (found > 0)
		return add_kept(prune, rollups);
	if (found < 0)
		return found;
	rewind_all(prune);
	return enough ? 1 : ask(prune, jump_too_much);
}

int guard_look(struct prune *prune)
{
	bool rollups;
	int64_t n = 0, now_us = prune->run.now_us;
	int found = next(prune, &rollups);
	prune->report.outcome = PRUNE_LOOKED;
	if (found <= 0)
		return found < 0 ? found : rewind_all(prune);
	if (!rollups) {
		const int64_t window[] = {
			prune->sensor, INT64_MIN, now_us - prune->policy->raw_us};
		found = prune_row(prune, COUNT_DUE, 3, window, 1, &n);
		prune->report.readings += n;
		return found < 0 ? found : 0;
	}
	int64_t size_us = prune->size_s * 1000000;
	int64_t age_us = prune_age_us(prune->policy, size_us);
	const int64_t window[] = {prune->size_s, prune->series_sensor, prune->series_col,
		INT64_MIN, age_us == 0 ? INT64_MAX : now_us - age_us - size_us};
	found = prune_row(prune, COUNT_ROLLUPS_DUE, 5, window, 1, &n);
	prune->report.rollups += n;
	return found < 0 ? found : 0;
}
