/* What a run deletes of a file, and what it leaves. */
#include "prune_file.h"

static void add_stream(const char *path, int id, int64_t seen_us)
{
	char sql[512];
	snprintf(sql, sizeof(sql),
		"INSERT INTO stream (id, stream, node, created, seen, lost)"
		" VALUES (%d, CAST(printf('%%016d', %d) AS BLOB), 'n', "
		"0, %lld, 1);"
		"INSERT INTO stream_interval (stream, first, last) VALUES (%d, 1, 5), (%d, "
		"9, 9);"
		"INSERT INTO lost VALUES (%d, 2, 1, 0)",
		id, id, (long long)seen_us, id, id, id);
	db_exec(path, sql);
}

static int64_t readings(const char *path)
{
	return db_int(path, "SELECT count(*) FROM reading");
}

static void test_there_is_nothing_to_do_before_a_run_begins(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	int64_t rows = 99;
	bool done = false;
	add_readings(path, 1, 10, 0, 1);
	assert_int_equal(prune_step(prune, &rows, &done), 0);
	assert_true(done);
	assert_int_equal(rows, 0);
	assert_int_equal(readings(path), 10);
	prune_close(prune);
}

static void test_what_is_older_goes_and_nothing_else(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	/* Sensor 1 is old, 2 spans the limit, 3 is new, 4 has no readings, 5 is at the
	 * limit. */
	add_readings(path, 1, 10, 0, 1);
	add_readings(path, 2, 20, BEFORE_US - 10, 1);
	add_readings(path, 3, 10, BEFORE_US + 5, 1);
	add_readings(path, 5, 1, BEFORE_US, 0);
	db_exec(path, "INSERT INTO sensor VALUES (4, '/data/n4', '', 0)");
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 20);
	assert_db_text(path,
		"SELECT sensor, count(*), min(ts), max(ts) FROM reading GROUP BY sensor",
		"2|10|1000000|1000009 3|10|1000005|1000014 5|1|1000000|1000000");
	/* Sensors are never forgotten: their ids are remembered elsewhere. */
	assert_int_equal(db_int(path, "SELECT count(*) FROM sensor"), 5);
	prune_close(prune);
}

static void test_a_step_deletes_a_few_rows_only(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_readings(path, 1, 2 * ROWS_A_STEP + 1, 0, 1);
	add_readings(path, 2, ROWS_A_STEP - 1, 0, 1);
	add_readings(path, 3, 7, BEFORE_US, 1);
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 3 * ROWS_A_STEP);
	assert_int_equal(readings(path), 7);
	prune_close(prune);
}

static void test_more_readings_of_one_instant_than_a_step_are_no_obstacle(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	int64_t rows, all = 0;
	bool done = false;
	add_readings(path, 1, 2 * ROWS_A_STEP + 500, 5, 0);
	add_readings(path, 1, 3, BEFORE_US, 1);
	begin(prune, BEFORE_US, 0);
	for (int steps = 0; !done && steps < 100; steps++) {
		assert_int_equal(prune_step(prune, &rows, &done), 0);
		all += rows;
	}
	assert_true(done);
	assert_int_equal(all, 2 * ROWS_A_STEP + 500);
	assert_int_equal(readings(path), 3);
	prune_close(prune);
}

static void test_a_second_run_finds_nothing(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_readings(path, 1, 10, BEFORE_US - 5, 1);
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 5);
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 0);
	begin(prune, BEFORE_US + 2, 0);
	assert_int_equal(run(prune), 2);
	assert_int_equal(readings(path), 3);
	prune_close(prune);
}

static void test_interrupted_between_any_two_steps_the_next_run_ends_it(void **state)
{
	char path[PATH_SIZE];
	for (int interrupted = 0; interrupted < 12; interrupted++) {
		struct prune *prune = open_pruner(state, path);
		int64_t rows;
		bool done = false;
		db_exec(path, "DELETE FROM reading; DELETE FROM stream_interval; DELETE "
			      "FROM lost;"
			      "DELETE FROM stream");
		add_readings(path, 1, ROWS_A_STEP + 100, 0, 1);
		add_readings(path, 2, 50, BEFORE_US - 20, 1);
		add_stream(path, 1, BEFORE_US - 1);
		add_stream(path, 2, BEFORE_US);
		begin(prune, BEFORE_US, BEFORE_US);
		for (int i = 0; i < interrupted; i++)
			assert_int_equal(prune_step(prune, &rows, &done), 0);
		prune_close(prune);
		assert_true(readings(path) >= 30);
		prune = open_pruner(state, path);
		begin(prune, BEFORE_US, BEFORE_US);
		run(prune);
		assert_int_equal(readings(path), 30);
		assert_db_text(path, "SELECT id FROM stream", "2");
		prune_close(prune);
	}
}

static void test_readings_that_come_during_a_run_are_kept(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	int64_t rows, deleted = 0;
	bool done = false;
	int added = 0;
	add_readings(path, 1, 3 * ROWS_A_STEP, 0, 1);
	begin(prune, BEFORE_US, 0);
	for (int steps = 0; !done; steps++) {
		assert_true(steps < 100);
		assert_int_equal(prune_step(prune, &rows, &done), 0);
		deleted += rows;
		add_readings(path, 1 + steps % 2, 10, BEFORE_US + steps, 1);
		added += 10;
	}
	assert_int_equal(deleted, 3 * ROWS_A_STEP);
	assert_int_equal(readings(path), added);
	prune_close(prune);
}

static void test_streams_that_are_long_silent_go_with_their_intervals(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_stream(path, 1, 99);
	add_stream(path, 2, 100);
	add_stream(path, 3, 5);
	add_stream(path, 4, 101);
	add_readings(path, 1, 5, BEFORE_US, 1);
	begin(prune, BEFORE_US, 100);
	assert_int_equal(run(prune), 2 * 4);
	assert_db_text(path, "SELECT id FROM stream ORDER BY id", "2 4");
	assert_db_text(path, "SELECT stream, first, last FROM stream_interval",
		"2|1|5 2|9|9 4|1|5 4|9|9");
	assert_db_text(path, "SELECT stream FROM lost", "2 4");
	assert_int_equal(readings(path), 5);
	prune_close(prune);
}

static void test_no_clock_alone_forgets_a_stream(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	for (int id = 1; id <= 5; id++)
		add_stream(path, id, id);
	struct policies policies = {.all = {.raw_us = 3600}};
	const struct prune_run ahead = {.policies = &policies,
		.now_us = BEFORE_US + 3600,
		.streams_before_us = BEFORE_US,
		.streams_kept = 5,
		.confirmed = true};
	struct prune_run few = ahead;
	few.streams_kept = 3;
	prune_begin(prune, &ahead);
	assert_int_equal(run(prune), 0);
	prune_begin(prune, &few);
	assert_int_equal(run(prune), 2 * 4);
	assert_db_text(path, "SELECT id FROM stream ORDER BY id", "3 4 5");
	prune_close(prune);
}

/* As the service does. @return readings deleted */
static int64_t run_for_space(struct prune *prune)
{
	static struct policies long_kept;
	const struct prune_run want = {.policies = &long_kept,
		.now_us = INT64_C(40) * 86400000000,
		.min_free_bytes = INT64_MAX / 4,
		.confirmed = true};
	int64_t rows;
	bool done = false;
	long_kept.all.raw_us = INT64_C(400) * 86400000000;
	prune_begin(prune, &want);
	while (!done) {
		assert_int_equal(prune_step(prune, &rows, &done), 0);
		assert_int_equal(prune_checkpoint(prune), 0);
	}
	return prune_report(prune)->readings;
}

static void test_beside_a_long_reader_cutting_for_space_ends(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_readings(path, 1, 60000, BEFORE_US, INT64_C(43200000));
	sqlite3 *reader = db_open(path);
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM reading", NULL,
				 NULL, NULL),
		SQLITE_OK);
	/* Without an end all of them would go. */
	assert_in_range(run_for_space(prune), 1, 50000);
	const char *reason = prune_report(prune)->reason;
	assert_non_null(reason);
	assert_non_null(strstr(reason, "a reader has held a snapshot since 1970-02-10T"));
	assert_int_equal(run_for_space(prune), 0);
	sqlite3_close(reader);
	for (int i = 0; i < 3; i++)
		run_for_space(prune);
	assert_true(readings(path) < 5000);
	prune_close(prune);
}

static void test_many_streams_go_in_several_steps(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	db_exec(path, "WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k "
		      "WHERE i < 1234)"
		      "INSERT INTO stream SELECT i, CAST(printf('%016d', i) AS BLOB), 'n', "
		      "0, i, 0, NULL"
		      " FROM k;"
		      "INSERT INTO stream_interval SELECT id, 1, 2, NULL FROM stream");
	begin(prune, 0, 1201);
	assert_int_equal(run(prune), 2400);
	assert_db_text(path, "SELECT count(*), min(id) FROM stream", "34|1201");
	assert_int_equal(db_int(path, "SELECT count(*) FROM stream_interval"), 34);
	prune_close(prune);
}

static void test_free_pages_go_back_to_the_file_system(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_readings(path, 1, 60000, 0, 1);
	int64_t before = db_int(path, "PRAGMA page_count");
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 60000);
	assert_int_equal(db_int(path, "PRAGMA freelist_count"), 0);
	assert_true(db_int(path, "PRAGMA page_count") < before / 4);
	prune_close(prune);
}

static void test_a_query_for_a_span_of_time_goes_from_sensor_to_sensor(void **state)
{
	static const char query[] =
		"EXPLAIN QUERY PLAN SELECT * FROM reading WHERE ts >= 5 AND ts < 9";
	char path[PATH_SIZE], plan[256];
	struct prune *prune = open_pruner(state, path);
	for (int sensor = 1; sensor <= 4; sensor++)
		add_readings(path, sensor, 1000, BEFORE_US, 1);
	db_text(path, query, plan, sizeof(plan));
	assert_non_null(strstr(plan, "SCAN reading"));
	for (int runs = 0; runs < 2; runs++) {
		begin(prune, BEFORE_US, 0);
		run(prune);
		db_text(path, query, plan, sizeof(plan));
		assert_non_null(strstr(plan, "(ANY(sensor) AND ts>? AND ts<?)"));
		assert_db_text(path, "SELECT * FROM sqlite_stat1 WHERE tbl = 'reading'",
			"reading|reading|4000 1000 1 1");
	}
	prune_close(prune);
}

static void test_a_busy_step_does_nothing_and_may_be_tried_again(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	int64_t rows = 0, deleted = 0;
	bool done = false;
	int busy = 0;
	add_readings(path, 1, 100, BEFORE_US - 50, 1);
	add_stream(path, 1, 5);
	sqlite3_busy_timeout(opened, 0);
	begin(prune, BEFORE_US, BEFORE_US);
	for (int steps = 0; !done; steps++) {
		assert_true(steps < 100);
		sqlite3 *other = db_lock(path);
		int err = prune_step(prune, &rows, &done);
		sqlite3_close(other);
		if (err != 0) {
			assert_int_equal(err, -EBUSY);
			assert_int_equal(rows, 0);
			assert_false(done);
			busy++;
			assert_int_equal(prune_step(prune, &rows, &done), 0);
		}
		deleted += rows;
	}
	assert_true(busy >= 2);
	assert_int_equal(deleted, 50 + 4);
	assert_int_equal(readings(path), 50);
	assert_int_equal(db_int(path, "SELECT count(*) FROM stream_interval"), 0);
	prune_close(prune);
}

static void test_one_pruner_at_a_time_holds_the_lease(void **state)
{
	char path[PATH_SIZE];
	struct prune *a = open_pruner(state, path), *b = open_pruner(state, path);
	struct dp_lease lease_a = {.name = "prune", .holder = "a", .ttl_us = 1000};
	struct dp_lease lease_b = {.name = "prune", .holder = "b", .ttl_us = 1000};
	assert_int_equal(prune_lease(a, &lease_a, BEFORE_US), 0);
	assert_int_equal(prune_lease(b, &lease_b, BEFORE_US), 0);
	assert_true(lease_a.held);
	assert_false(lease_b.held);
	assert_int_equal(prune_release(a, &lease_a), 0);
	assert_int_equal(prune_lease(b, &lease_b, BEFORE_US), 0);
	assert_true(lease_b.held);
	prune_close(a);
	prune_close(b);
}

static void test_a_store_that_cannot_be_opened_is_an_error(void **state)
{
	struct prune *prune = NULL;
	char url[PATH_SIZE + 32], log[1024];
	struct capture capture;
	snprintf(url, sizeof(url), "sqlite://%s/absent/broker.db", (const char *)*state);
	capture_begin(&capture, STDERR_FILENO);
	int err = prune_open(&prune, &sqlite_ops, url);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(err, -ENOENT);
	assert_null(prune);
	prune_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_there_is_nothing_to_do_before_a_run_begins),
		IN_DIRECTORY(test_what_is_older_goes_and_nothing_else),
		IN_DIRECTORY(test_a_step_deletes_a_few_rows_only),
		IN_DIRECTORY(test_more_readings_of_one_instant_than_a_step_are_no_obstacle),
		IN_DIRECTORY(test_a_second_run_finds_nothing),
		IN_DIRECTORY(test_interrupted_between_any_two_steps_the_next_run_ends_it),
		IN_DIRECTORY(test_readings_that_come_during_a_run_are_kept),
		IN_DIRECTORY(test_streams_that_are_long_silent_go_with_their_intervals),
		IN_DIRECTORY(test_no_clock_alone_forgets_a_stream),
		IN_DIRECTORY(test_beside_a_long_reader_cutting_for_space_ends),
		IN_DIRECTORY(test_many_streams_go_in_several_steps),
		IN_DIRECTORY(test_free_pages_go_back_to_the_file_system),
		IN_DIRECTORY(test_a_query_for_a_span_of_time_goes_from_sensor_to_sensor),
		IN_DIRECTORY(test_a_busy_step_does_nothing_and_may_be_tried_again),
		IN_DIRECTORY(test_one_pruner_at_a_time_holds_the_lease),
		IN_DIRECTORY(test_a_store_that_cannot_be_opened_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
