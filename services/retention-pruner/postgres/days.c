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
	int64_t until_us = prune->run.now_us - prune->groups.longest_us;
	if (prune->cut_raw_us > until_us)
		until_us = prune->cut_raw_us;
	/* What is counted, and only that, may go. */
	if (all->n > 0 && state->counted_until_us < until_us)
		until_us = state->counted_until_us;
	return until_us;
}

static int count_rows(struct prune *prune, const char *name, int64_t *rows)
{
	char sql[DAY_NAME_MAX + 32];
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", name);
	int err = step_ask(prune, sql, 0, NULL, NULL, rows);
	return err < 0 ? err : 0;
}

/* ingest waits while we have the table, and while we wait for whoever reads it. */
static int drop(struct prune *prune, const char *name, int64_t ends_us)
{
	char sql[DAY_NAME_MAX + 256];
	/* Nobody makes a partition meanwhile, and waits for what we hold. */
	snprintf(sql, sizeof(sql),
		DP_POSTGRES_LOCK "; DROP TABLE %s; UPDATE retention SET dropped_until ="
				 " greatest(dropped_until, %lld)",
		name, (long long)ends_us);
	return step_end_with(prune, sql);
}

/* A day that goes, and how many readings it has. @return 1, 0 there is none, or an error */
static int find_day(struct prune *prune, char *name, int64_t *ends_us, int64_t *rows)
{
	struct state state;
	int64_t begins_us = 0;
	int found = step_state(prune, &state);
	if (found == 0)
		found = days_next(prune, 0, &begins_us, name);
	if (found <= 0)
		return found;
	*ends_us = begins_us + DAY_US;
	if (*ends_us > days_until_us(prune, &state))
		return 0;
	int err = count_rows(prune, name, rows);
	return err != 0 ? err : 1;
}

int days_drop(struct prune *prune, int64_t *rows)
{
	char name[DAY_NAME_MAX];
	int64_t ends_us = 0, dropped = 0;
	int err = step_begin(prune, STEP_PLAIN);
	if (err != 0)
		return err;
	int found = find_day(prune, name, &ends_us, &dropped);
	if (found <= 0) {
		err = step_end(prune, found);
		return err != 0 ? err : 1;
	}
	err = drop(prune, name, ends_us);
	if (err != 0)
		return err;
	*rows = dropped;
	prune->report.readings += dropped;
	return 0;
}
