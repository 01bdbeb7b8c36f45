/* A pruner on a file of the test's own. */
#ifndef TEST_PRUNE_FILE_H
#define TEST_PRUNE_FILE_H

#include "retention-pruner/prune.h"
#include "retention-pruner/sqlite/sqlite_ops.h"
#include "support.h"

#define BEFORE_US INT64_C(1000000)
#define ROWS_A_STEP 5000

static sqlite3 *opened; /* the pruner's own connection */

static inline int note_opened(
	sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
	(void)error, (void)api;
	/* Not the one in memory, to which the schema is compared. */
	if (*sqlite3_db_filename(db, "main") != '\0')
		opened = db;
	return SQLITE_OK;
}

static inline struct prune *open_pruner(void **state, char path[PATH_SIZE])
{
	static char url[PATH_SIZE + 16];
	struct prune *prune = NULL;
	snprintf(url, sizeof(url), "sqlite://%s", path_in(state, "broker.db", path));
	sqlite3_auto_extension((void (*)(void))note_opened);
	assert_int_equal(prune_open(&prune, &sqlite_ops, url), 0);
	sqlite3_reset_auto_extension();
	return prune;
}

/* n readings of a sensor at first_us, first_us + step_us, ... */
static inline void add_readings(
	const char *path, int sensor, int n, int64_t first_us, int64_t step_us)
{
	char sql[512];
	snprintf(sql, sizeof(sql),
		"INSERT OR IGNORE INTO sensor VALUES (%d, '/data/n%d', 'climate', 0);"
		"WITH RECURSIVE k (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i + "
		"1 < %d)"
		"INSERT INTO reading (sensor, ts, id, clock, temperature)"
		" SELECT %d, %lld + %lld * i, (SELECT reading FROM next_id) + i, 0, 20.5 "
		"FROM k;"
		"UPDATE next_id SET reading = reading + %d",
		sensor, sensor, n, sensor, (long long)first_us, (long long)step_us, n);
	db_exec(path, sql);
}

/* A run by which readings before before_us go; without rollups. */
static inline void begin(struct prune *prune, int64_t before_us, int64_t streams_before_us)
{
	static struct policies policies = {.all = {.raw_us = 3600}};
	const struct prune_run run = {.policies = &policies,
		.now_us = before_us + 3600,
		.streams_before_us = streams_before_us,
		.confirmed = true};
	prune_begin(prune, &run);
}

/* Step until done. @return rows deleted; a step of readings deletes few */
static inline int64_t run(struct prune *prune)
{
	int64_t rows, all = 0;
	bool done = false;
	for (int steps = 0; !done; steps++) {
		assert_true(steps < 10000);
		assert_int_equal(prune_step(prune, &rows, &done), 0);
		assert_in_range(rows, 0, ROWS_A_STEP);
		all += rows;
	}
	return all;
}

#endif
