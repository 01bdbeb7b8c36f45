/* A run that finds nothing to do writes nothing, but once a day that there was one. */
#include "prune_file.h"

#define DAY_US INT64_C(86400000000)
#define NOW_US (20000 * DAY_US)
#define MINUTE_US INT64_C(60000000)

static struct policies policies = {
	.all = {.raw_us = 30 * DAY_US, .n = 1, .sizes = {{MINUTE_US, 365 * DAY_US}}}};

/* @return what the run has changed, in rows */
static int run_at(struct prune *prune, int64_t now_us, const char *boot_id, bool confirmed)
{
	struct prune_run wanted = {.policies = &policies,
		.now_us = now_us,
		.boot_us = now_us - NOW_US + DAY_US,
		.synchronised = true,
		.confirmed = confirmed};
	int before = sqlite3_total_changes(opened);
	snprintf(wanted.boot_id, sizeof(wanted.boot_id), "%s", boot_id);
	prune_begin(prune, &wanted);
	run(prune);
	assert_int_equal(prune_report(prune)->outcome, PRUNE_DID);
	return sqlite3_total_changes(opened) - before;
}

static void test_it_writes_only_what_is_new(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	int64_t now_us = NOW_US;
	/* Of the first reading's minute, and of one that is not over yet. */
	add_readings(path, 1, 1, NOW_US - DAY_US, 1);
	add_readings(path, 1, 1, NOW_US + MINUTE_US, 1);
	assert_true(run_at(prune, now_us, "a", false) > 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(run_at(prune, now_us++, "a", false), 0);
	assert_int_equal(db_int(path, "SELECT run_wall FROM retention"), NOW_US);
	/* Time makes it due, with no new reading. */
	now_us += 5 * MINUTE_US;
	assert_true(run_at(prune, now_us, "a", false) > 0);
	assert_int_equal(run_at(prune, now_us, "a", false), 0);
	assert_true(
		db_int(path, "SELECT counted_until FROM retention") > NOW_US + MINUTE_US);
	/* And then no more, whatever the time. */
	for (int hour = 1; hour < 24; hour++)
		assert_int_equal(
			run_at(prune, now_us + (int64_t)hour * 60 * MINUTE_US, "a", false),
			0);
	prune_close(prune);
}

static void test_that_there_was_a_run_is_noted_once_a_day(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	assert_true(run_at(prune, NOW_US, "a", false) > 0);
	assert_int_equal(run_at(prune, NOW_US + DAY_US - 1, "a", false), 0);
	assert_true(run_at(prune, NOW_US + DAY_US, "a", false) > 0);
	assert_int_equal(run_at(prune, NOW_US + DAY_US, "a", false), 0);
	/* Of another boot, by a clock that was set back, and on somebody's word. */
	assert_true(run_at(prune, NOW_US + DAY_US, "b", false) > 0);
	assert_true(run_at(prune, NOW_US + DAY_US - 1, "b", false) > 0);
	assert_int_equal(run_at(prune, NOW_US + DAY_US - 1, "b", false), 0);
	assert_true(run_at(prune, NOW_US + DAY_US - 1, "b", true) > 0);
	prune_close(prune);
}

/* What is late is forgotten once, when RETENTION has no rollups any more. */
static void test_what_nobody_counts_is_forgotten_once(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_readings(path, 1, 1, NOW_US - DAY_US, 1);
	assert_true(run_at(prune, NOW_US, "a", false) > 0);
	policies.all.n = 0;
	db_exec(path, "DELETE FROM rollup; INSERT INTO late VALUES (1, 1, 1, 0, 0, 1)");
	assert_true(run_at(prune, NOW_US, "a", false) > 0);
	assert_int_equal(db_int(path, "SELECT count(*) FROM late"), 0);
	assert_int_equal(run_at(prune, NOW_US, "a", false), 0);
	policies.all.n = 1;
	prune_close(prune);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_it_writes_only_what_is_new),
		IN_DIRECTORY(test_that_there_was_a_run_is_noted_once_a_day),
		IN_DIRECTORY(test_what_nobody_counts_is_forgotten_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
