/* The partitions of reading, a day each. */
#include <stdio.h>

#include "prune_postgres.h"

int days_next(struct prune *prune, int64_t from_us, int64_t *begins_us, char *name)
{
	int found = step_ask(prune,
		"SELECT begins, name FROM " DAYS
		" WHERE begins >= $1 ORDER BY begins LIMIT 1",
		1, &from_us, NULL, begins_us);
	if (found == 1)
		snprintf(name, DAY_NAME_MAX, "%s", db_text(prune->db, 0, 1));
	return found;
}

int64_t days_until_us(const struct prune *prune, const struct state *state)
{
	const struct policy *all = &prune->run.policies->all;
	int64_t longest_us =
		prune->groups.longest_us > 0 ? prune->groups.longest_us : all->raw_us;
	int64_t until_us = prune->run.now_us - longest_us;
	if (prune->cut_raw_us > until_us)
		until_us = prune->cut_raw_us;
	/* What is counted, and only that, may go. */
	if (all->n > 0 && state->counted_until_us < until_us)
		until_us = state->counted_until_us;
	return until_us;
}

/* ingest waits meanwhile, for as long as we wait for whoever reads. */
static int drop(struct prune *prune, const char *name, int64_t ends_us, int64_t *rows)
{
	char sql[DAY_NAME_MAX + 32];
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", name);
	int err = step_ask(prune, sql, 0, NULL, NULL, rows);
	if (err < 0)
		return err;
	/* Nobody makes a partition meanwhile, and waits for what we hold. */
	err = db_run(prune->db, DP_POSTGRES_LOCK, NULL);
	snprintf(sql, sizeof(sql), "DROP TABLE %s", name);
	if (err == 0)
		err = db_run(prune->db, sql, NULL);
	if (err == 0)
		err = step_run(prune,
			"UPDATE retention SET dropped_until = greatest(dropped_until, $1)",
			1, &ends_us, NULL);
	return err;
}

int days_drop(struct prune *prune, int64_t *rows)
{
	char name[DAY_NAME_MAX];
	int64_t begins_us = 0, dropped = 0;
	struct state state;
	bool over = false;
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	err = step_state(prune, &state);
	int found = err != 0 ? err : days_next(prune, 0, &begins_us, name);
	if (found == 1 && begins_us + DAY_US <= days_until_us(prune, &state))
		found = drop(prune, name, begins_us + DAY_US, &dropped);
	else
		over = true;
	err = step_end(prune, found < 0 ? found : 0);
	if (err != 0)
		return err;
	*rows = dropped;
	prune->report.readings += dropped;
	return over;
}
