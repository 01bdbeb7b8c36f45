/*
 * The publisher's parts together: what becomes of readings when the outbox is locked, full,
 * damaged or somebody else's, with the rest as in tests/fault/model/model.h.
 */
#include "relay_model.h"

/* ---- spill ---- */

static void test_another_process_holds_the_outbox_for_a_while(void **state)
{
	begin(state);
	sqlite3 *other = db_lock(path);
	sample(0, 5);
	model_run(3000);
	model_close(0);
	unsigned works = model.works;
	model_run(60000);
	assert_string_equal(model.strange, "");
	assert_true(model.works - works <= 61);
	assert_int_equal(model.errors, 1);
	assert_says("another process holds");
	sqlite3_close(other);
	model_run(3000);
	assert_says("the broker is away");
	assert_true(model.samplers[0].accepted[5]);
	model.centre_up = true;
	finish();
}

static void test_it_is_healthy_again_though_nothing_is_left_to_be_written(void **state)
{
	begin(state);
	sample(0, 1);
	model_run(4000);
	sqlite3 *other = db_lock(path);
	sample(0, 5);
	model_run(4000);
	assert_says("another process holds");
	model.centre_up = true;
	model_run(10000);
	assert_int_equal(streams_live(&model.relay->streams).n, 0);
	sqlite3_close(other);
	model_run(15000);
	assert_healthy();
	finish();
}

static void test_a_stop_does_not_wait_for_another_process(void **state)
{
	begin(state);
	sqlite3 *other = db_lock(path);
	sample(0, 5);
	model_run(100);
	unsigned works = model.works;
	assert_int_equal(model_stop(), 0);
	assert_true(model.works - works <= 2);
	sqlite3_close(other);
	assert_false(model.samplers[0].accepted[1]);
	model.centre_up = true;
	model_start();
	finish();
}

static void test_an_outbox_that_is_full_leaves_readings_with_the_sampler(void **state)
{
	model_reset(path_in(state, "outbox.db", path));
	model.config.outbox_max_bytes = 45000;
	model_start();
	model_sampler_begin(0, 1);
	model_run(300);
	sample(0, 250);
	model_run(10000);
	assert_says("is full");
	assert_true(model.samplers[0].accepted[1] && !model.samplers[0].accepted[250]);
	model.centre_up = true;
	finish();
	assert_int_equal(model.samplers[0].lost[1], false);
}

static void test_the_oldest_go_when_that_is_wished_and_the_centre_hears(void **state)
{
	model_reset(path_in(state, "outbox.db", path));
	model.config.outbox_max_bytes = 45000;
	model.config.outbox_full = SETTINGS_DROP_OLDEST;
	model_start();
	model_sampler_begin(0, 1);
	model_run(300);
	for (unsigned i = 0; i < 25; i++) {
		sample(0, 10);
		model_run(4000);
	}
	assert_true(model.relay->queue.spill.dropped > 0 &&
		    model.relay->queue.spill.dropped < 250);
	assert_true(model.samplers[0].accepted[1] && model.samplers[0].accepted[250]);
	model.centre_up = true;
	model_run(60000);
	assert_true(model_settled());
	assert_true(model.samplers[0].lost[1] && model.samplers[0].stored[250]);
	assert_int_equal(model_stop(), 0);
}

/* ---- opening ---- */

static void test_it_waits_for_the_publisher_that_has_the_outbox(void **state)
{
	int lock = outbox_lock(path_in(state, "outbox.db", path));
	assert_true(lock >= 0);
	begin(state);
	model_run(5000);
	assert_says("another publisher may hold it");
	assert_int_equal(model.works, 0);
	close(lock);
	model_run(2000);
	sample(0, 2);
	model.centre_up = true;
	finish();
}

static void test_it_waits_for_a_process_that_locks_the_outbox(void **state)
{
	begin(state);
	sample(0, 2);
	model_run(4000);
	assert_int_equal(model_stop(), 0);
	sqlite3 *other = db_lock(path);
	model_start();
	unsigned works = model.works;
	model_run(60000);
	assert_says("another process holds its lock");
	assert_true(model.works - works < 15);
	assert_int_equal(model_stop(), 0);
	model_start();
	model_run(3000);
	sqlite3_close(other);
	model_run(12000);
	model.centre_up = true;
	finish();
}

/* An outbox with two streams, one of which has readings without a time. */
static void fill(void **state)
{
	begin(state);
	model.clock_set = false;
	model_sampler_begin(1, 1);
	model.samplers[1].undated = true;
	sample(0, 10);
	sample(1, 10);
	model_run(4000);
	assert_int_equal(model_stop(), 0);
}

static void forgive_all(void)
{
	for (unsigned n = 0; n < 2; n++)
		memset(model.samplers[n].forgiven, true,
			sizeof(model.samplers[n].forgiven));
}

static void test_what_no_outbox_says_is_damage_and_met_once(void **state)
{
	static const char *const damages[] = {
		"UPDATE instance SET name = '0123456789abcdeg'",
		"UPDATE instance SET name = x'00'",
		"UPDATE instance SET floor = -1",
		"UPDATE instance SET floor = 9223372036854775807",
		"UPDATE boot SET boot = x'31'",
		"UPDATE boot SET mark = 4",
		"UPDATE boot SET mark = 'x'",
		"UPDATE boot SET start = -9223372036854775807 - 1",
		"UPDATE boot SET boot = 'a boot of a name that is longer than any name is'",
		"UPDATE stream SET node = ''",
		"UPDATE stream SET node = 'a/b'",
		"UPDATE stream SET node = x'6e'",
		"UPDATE stream SET node = 'n' || char(0) || 'x'",
		"UPDATE stream SET node = printf('%.*c', 70, 'n')",
		"UPDATE stream SET low = -1",
		"UPDATE stream SET low = 9223372036854775807",
		"UPDATE stream SET closed = 2",
		"UPDATE stream SET boot = 4711",
		"UPDATE stream SET boot = 'x'",
		"UPDATE stream SET id = -id",
		("PRAGMA ignore_check_constraints = 1; UPDATE stream SET stream = x'01' "
		 "WHERE id = 1"),
		"UPDATE reading SET seq = -seq",
		"UPDATE reading SET seq = 9223372036854775807 WHERE seq = 10",
		"UPDATE reading SET seq = 'x' WHERE seq = 10",
		"UPDATE reading SET stream = 'x' WHERE stream = 1",
		"DROP TABLE boot",
		"ALTER TABLE stream RENAME COLUMN low TO lov",
		"PRAGMA user_version = 0",
		"PRAGMA user_version = -2147483646",
	};
	char lock[PATH_SIZE + 8];
	for (size_t i = 0; i < LENGTH(damages); i++) {
		unsigned before = files_aside();
		unlink(path);
		fill(state);
		db_exec(path, damages[i]);
		model_start();
		model_run(5000);
		if (files_aside() != before + 1 || !model.relay->queue.opened)
			fail_msg("%s: %u files aside", damages[i], files_aside() - before);
		assert_int_equal(model_stop(), 0);
		model.clock_set = true;
		model_start();
		forgive_all();
		model.centre_up = true;
		sample(0, 1);
		sample(1, 1);
		finish();
		assert_int_equal(files_aside(), before + 1);
		snprintf(lock, sizeof(lock), "%s-lock", path);
		unlink(lock);
	}
}

static void test_a_reading_that_cannot_be_sent_is_given_up_by_itself(void **state)
{
	static const char *const damages[] = {
		"UPDATE reading SET json = x'00' WHERE stream = 1 AND seq = 5",
		"UPDATE reading SET json = '' WHERE stream = 1 AND seq = 5",
		"UPDATE reading SET json = zeroblob(300000) WHERE stream = 1 AND seq = 5",
		("UPDATE reading SET json = x'7b22626e22ff227d' WHERE stream = 1 AND seq = "
		 "5"),
		("UPDATE reading SET json = replace(json, 'bn', 'bm') WHERE stream = 1 AND "
		 "seq = 5"),
		"UPDATE reading SET clock = 4 WHERE stream = 1 AND seq = 5",
		"UPDATE reading SET clock = 3 WHERE stream = 1 AND seq = 5",
		"UPDATE reading SET boottime = -1 WHERE stream = 1 AND seq = 5",
		"UPDATE reading SET boottime = 7 WHERE stream = 1 AND seq = 5",
		"UPDATE reading SET stream = 4711 WHERE stream = 1 AND seq = 5",
		"DELETE FROM reading WHERE stream = 1 AND seq = 5",
	};
	for (size_t i = 0; i < LENGTH(damages); i++) {
		unlink(path);
		fill(state);
		db_exec(path, damages[i]);
		model.clock_set = true;
		model.samplers[0].forgiven[5] = true;
		model.errors = 0;
		model.centre_up = true;
		model_start();
		model_run(1000);
		sample(0, 1);
		finish();
		if (model.samplers[0].stored[5] || !model.samplers[0].lost[5])
			fail_msg("%s: the centre does not know", damages[i]);
		assert_true(model.errors > 0 || i == LENGTH(damages) - 1);
		assert_int_equal(files_aside(), 0);
		assert_int_equal(db_int(path, "SELECT count(*) FROM reading"), 0);
	}
}

static void test_a_damaged_outbox_that_cannot_be_replaced_is_tried_again(void **state)
{
	static const uint8_t noise[65536] = {1, 2, 3};
	begin(state);
	sample(0, 10);
	model_run(4000);
	db_exec(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	write_file(path, noise, sizeof(noise));
	sqlite3_db_release_memory(model.relay->queue.outbox->db);
	forgive_all();
	fail_arm(FAIL_CALLS, 1, UINT64_MAX);
	sample(0, 3);
	model_run(60000);
	assert_says("no new one can be begun");
	assert_int_equal(files_aside(), 0);
	assert_false(model.samplers[0].accepted[13]);
	/* What is in memory still reaches the centre. */
	model.centre_up = true;
	model_run(5000);
	assert_true(model.samplers[0].stored[13] && model.samplers[0].accepted[13]);
	model.centre_up = false;
	sample(0, 1);
	model_run(1000);
	assert_int_equal(model_stop(), 0);
	fail_disarm();
	model_start();
	model.centre_up = true;
	finish();
	assert_int_equal(files_aside(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_another_process_holds_the_outbox_for_a_while),
		IN_DIRECTORY(test_it_is_healthy_again_though_nothing_is_left_to_be_written),
		IN_DIRECTORY(test_a_stop_does_not_wait_for_another_process),
		IN_DIRECTORY(test_an_outbox_that_is_full_leaves_readings_with_the_sampler),
		IN_DIRECTORY(test_the_oldest_go_when_that_is_wished_and_the_centre_hears),
		IN_DIRECTORY(test_it_waits_for_the_publisher_that_has_the_outbox),
		IN_DIRECTORY(test_it_waits_for_a_process_that_locks_the_outbox),
		IN_DIRECTORY(test_what_no_outbox_says_is_damage_and_met_once),
		IN_DIRECTORY(test_a_reading_that_cannot_be_sent_is_given_up_by_itself),
		IN_DIRECTORY(test_a_damaged_outbox_that_cannot_be_replaced_is_tried_again),
	};
	fail_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
