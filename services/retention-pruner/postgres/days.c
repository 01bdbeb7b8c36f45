#include "days.h"

#include <stdio.h>

#include "postgres.h"
#include "step.h"

int days_next(struct postgres_store *store, int64_t from_us, int64_t *begins_us, char *name)
{
	int found = step_ask(store,
		"SELECT begins, name FROM " DAYS
		" WHERE begins >= $1 ORDER BY begins LIMIT 1",
		1, &from_us, NULL, begins_us);
	if (found == 1)
		snprintf(name, DAY_NAME_MAX, "%s", db_text(store->db, 0, 1));
	return found;
}

int days_first(struct postgres_store *store, int64_t from_us, int64_t *first_us)
{
	return step_ask(store,
		"SELECT least((SELECT greatest(begins, $1) FROM " DAYS
		" WHERE begins + 86400000000 > $1 ORDER BY begins LIMIT 1),"
		" (SELECT " MICROSECONDS(
			"min((SELECT min(ts) FROM reading_default WHERE sensor = s.id"
			" AND ts >= " DP_TIME_1 "))") " FROM sensor AS s))",
		1, &from_us, NULL, first_us);
}

/* Up to where whole days go. */
static int64_t until_us(
	const struct postgres_store *store, const struct postgres_state *state)
{
	int64_t bound_us = store->job->run.now_us - store->groups.longest_us;
	if (store->job->cut_raw_us > bound_us)
		bound_us = store->job->cut_raw_us;
	return policy_counted_us(store->job->all, state->counted_until_us, bound_us);
}

#define SAMPLE_PAGES "1000"

/*
 * What is large takes longer to count than anybody may wait: by its size, and how many rows
 * a page had when the server looked last, or has at the table's begin.
 */
static int estimate(
	struct postgres_store *store, const char *name, int64_t bytes, int64_t *rows)
{
	char sql[512];
	snprintf(sql, sizeof(sql),
		"SELECT ($1 / current_setting('block_size')::float8 *"
		" CASE WHEN reltuples >= 0 AND relpages > 0 THEN reltuples / relpages"
		" ELSE (SELECT count(*) FROM %s WHERE ctid < '(" SAMPLE_PAGES ",0)')"
		"  / " SAMPLE_PAGES ".0 END)::bigint"
		" FROM pg_class WHERE oid = '%s'::regclass",
		name, name);
	return step_ask(store, sql, 1, &bytes, NULL, rows);
}

static int count_rows(
	struct postgres_store *store, const char *name, int64_t *rows, bool *about)
{
	char sql[128];
	int64_t bytes = 0;
	snprintf(sql, sizeof(sql), "SELECT pg_relation_size('%s')", name);
	int found = step_ask(store, sql, 0, NULL, NULL, &bytes);
	*about = bytes >= EXACT_BYTES;
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", name);
	if (found >= 0)
		found = *about ? estimate(store, name, bytes, rows)
			       : step_ask(store, sql, 0, NULL, NULL, rows);
	return found < 0 ? found : 0;
}

/* ingest waits while we have the table, and while we wait for whoever reads it. */
static int drop(struct postgres_store *store, const char *name, int64_t ends_us)
{
	char sql[DAY_NAME_MAX + 256];
	/* Nobody makes a partition meanwhile, and waits for what we hold. */
	snprintf(sql, sizeof(sql),
		DP_POSTGRES_LOCK "; DROP TABLE %s; UPDATE retention SET dropped_until ="
				 " greatest(dropped_until, %lld)",
		name, (long long)ends_us);
	return step_end_with(store, sql);
}

/* A day that goes. */
struct day {
	char name[DAY_NAME_MAX];
	int64_t ends_us, rows;
	bool about;
};

/* @return 1, 0 there is none, or an error */
static int find_day(struct postgres_store *store, struct day *day)
{
	struct postgres_state state;
	int64_t begins_us = 0;
	int found = step_look(store, &state);
	if (found == 0)
		found = days_next(store, 0, &begins_us, day->name);
	if (found <= 0)
		return found;
	day->ends_us = begins_us + DAY_US;
	if (day->ends_us > until_us(store, &state))
		return 0;
	found = count_rows(store, day->name, &day->rows, &day->about);
	return found < 0 ? found : 1;
}

int days_drop(void *data)
{
	struct postgres_store *store = data;
	struct day day = {.rows = 0};
	int err = step_begin(store, STEP_PLAIN);
	if (err != 0)
		return err;
	int found = find_day(store, &day);
	if (found <= 0) {
		err = step_end(store, found);
		return err != 0 ? err : 1;
	}
	err = drop(store, day.name, day.ends_us);
	if (err != 0)
		return err;
	store->job->rows = day.rows;
	store->job->report.readings += day.rows;
	store->job->report.about = store->job->report.about || day.about;
	return 0;
}
