#include "prune_file.h"

/* Two of them have no sum: that stops neither their series nor another. */
static void test_a_sum_that_overflows_stops_nothing(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	struct policies counted = {.all = {.raw_us = 3600, .n = 1}};
	const struct prune_run all = {
		.policies = &counted, .now_us = INT64_C(600000000), .confirmed = true};
	counted.all.sizes[0].size_us = 60000000;
	counted.all.sizes[0].age_us = INT64_C(86400000000);
	add_readings(path, 1, 4, BEFORE_US, 1);
	add_readings(path, 2, 4, BEFORE_US, 1);
	db_exec(path,
		"INSERT INTO channel VALUES (1, 0, 'temperature', 'Cel'),"
		" (2, 0, 'temperature', 'Cel');"
		"UPDATE reading SET temperature = 1.7e308 WHERE sensor = 1 AND ts % 2 = 0;"
		"UPDATE reading SET temperature = 9e999 WHERE sensor = 1 AND ts = 1000003");
	prune_begin(prune, &all);
	assert_int_equal(run(prune), 8);
	assert_int_equal(prune_report(prune)->odd, 3);
	assert_db_text(path, "SELECT sensor, count, sum FROM rollup ORDER BY sensor",
		"1|1|20.5 2|4|82.0");
	prune_close(prune);
}

/* Of sensor 2 there is one without its sum, which the schema wants. */
static void damage_rollup(const char *path)
{
	db_exec(path,
		"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql ="
		" replace(sql, 'sum    REAL NOT NULL', 'sum REAL') WHERE name = 'rollup';"
		"PRAGMA writable_schema=RESET;"
		"INSERT INTO rollup VALUES (60, 2, 0, 0, 1, 1, 1, NULL, 1, 1, 0, 0);"
		"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql ="
		" replace(sql, 'sum REAL', 'sum    REAL NOT NULL') WHERE name = 'rollup';"
		"PRAGMA writable_schema=RESET");
}

/* Its rollup has lost a value that the schema wants. Its readings wait, the others' do not.
 */
static void test_a_sensor_that_cannot_be_counted_stops_no_other(void **state)
{
	char path[PATH_SIZE], log[4096];
	struct prune *prune = open_pruner(state, path);
	struct capture capture;
	struct policies counted = {.all = {.raw_us = 3600, .n = 1}};
	struct prune_run all = {
		.policies = &counted, .now_us = INT64_C(600000000), .confirmed = true};
	counted.all.sizes[0].size_us = 60000000;
	counted.all.sizes[0].age_us = INT64_C(86400000000);
	for (int sensor = 1; sensor <= 3; sensor++)
		add_readings(path, sensor, 4, BEFORE_US, 1);
	damage_rollup(path);
	prune_close(prune);
	prune = open_pruner(state, path);
	capture_begin(&capture, STDERR_FILENO);
	for (int runs = 0; runs < 3; runs++) {
		prune_begin(prune, &all);
		run(prune);
		all.now_us += 60000000;
	}
	capture_end(&capture, log, sizeof(log));
	assert_db_text(path, "SELECT sensor, count(*) FROM reading GROUP BY sensor", "2|4");
	assert_db_text(
		path, "SELECT sensor, count FROM rollup ORDER BY sensor", "1|4 2|1 3|4");
	assert_string_equal(prune_report(prune)->reason,
		"readings of /data/n2 climate cannot be "
		"counted: see the log of the pruner");
	const char *line = strstr(log, "cannot be counted");
	assert_non_null(line);
	assert_null(strstr(line + 1, "cannot be counted"));
	/* What came meanwhile is counted with it, once. */
	add_readings(path, 2, 2, INT64_C(700000000), 1);
	db_exec(path, "DELETE FROM rollup WHERE sensor = 2");
	prune_begin(prune, &all);
	run(prune);
	assert_null(prune_report(prune)->reason);
	assert_int_equal(prune_report(prune)->counted, 6);
	assert_db_text(path, "SELECT ts, count FROM rollup WHERE sensor = 2 ORDER BY ts",
		"0|4 660000000|2");
	assert_int_equal(db_int(path, "SELECT count(*) FROM late"), 0);
	prune_close(prune);
}

static void test_cutting_ends_beside_a_sensor_that_is_set_aside(void **state)
{
	char path[PATH_SIZE], log[4096];
	struct prune *prune = open_pruner(state, path);
	struct capture capture;
	struct policies counted = {.all = {.raw_us = INT64_C(400) * 86400000000, .n = 1}};
	const struct prune_run small = {.policies = &counted,
		.now_us = INT64_C(40) * 86400000000,
		.max_bytes = 1,
		.confirmed = true};
	counted.all.sizes[0].size_us = 60000000;
	counted.all.sizes[0].age_us = counted.all.raw_us;
	for (int sensor = 1; sensor <= 3; sensor++)
		add_readings(path, sensor, 400, BEFORE_US * sensor, 86400000);
	damage_rollup(path);
	prune_close(prune);
	prune = open_pruner(state, path);
	capture_begin(&capture, STDERR_FILENO);
	prune_begin(prune, &small);
	run(prune);
	capture_end(&capture, log, sizeof(log));
	assert_db_text(
		path, "SELECT sensor, count(*) FROM reading GROUP BY sensor", "2|400");
	assert_non_null(strstr(log, "sensor=\"climate\""));
	prune_close(prune);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_sum_that_overflows_stops_nothing),
		IN_DIRECTORY(test_a_sensor_that_cannot_be_counted_stops_no_other),
		IN_DIRECTORY(test_cutting_ends_beside_a_sensor_that_is_set_aside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
