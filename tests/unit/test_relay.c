/*
 * The publisher's parts together: intake, uplink, spill and opening as they are in the
 * relay, on real files, with brokers, samplers and a centre as in
 * tests/fault/model/model.h.
 */
#include <glob.h>

#include "../fault/fail_vfs.h"
#include "../fault/model/model.h"
#include "publisher/outbox/outbox_db.h"
#include "support.h"

static char path[PATH_SIZE];

static void begin(void **state)
{
	model_reset(path_in(state, "outbox.db", path));
	model_start();
	model_sampler_begin(0, 1);
	model_run(300);
}

static void sample(unsigned n, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		model_sample(n);
}

static void assert_healthy(void)
{
	const char *wrong = relay_health(model.relay);
	if (wrong != NULL)
		fail_msg("unhealthy: %s", wrong);
}

static void assert_says(const char *words)
{
	const char *wrong = relay_health(model.relay);
	if (wrong == NULL || strstr(wrong, words) == NULL)
		fail_msg("it says: %s", wrong == NULL ? "healthy" : wrong);
}

/* All is stored, nothing strange happened, and it stops. */
static void finish(void)
{
	const char *wrong = NULL;
	for (unsigned i = 0; i < 80 && !model_settled(); i++)
		model_run(5000);
	assert_true(model_settled());
	wrong = model_judge();
	if (wrong != NULL)
		fail_msg("%s", wrong);
	assert_healthy();
	assert_int_equal(model_stop(), 0);
}

static unsigned files_aside(void)
{
	char pattern[PATH_SIZE + 16];
	glob_t found = {.gl_pathc = 0};
	unsigned n = 0;
	snprintf(pattern, sizeof(pattern), "%s.corrupt-*", path);
	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++)
		n += strstr(found.gl_pathv[i], "-wal") == NULL;
	globfree(&found);
	return n;
}

/* ---- intake ---- */

static void intake(const char *payload, uint64_t first, uint32_t count, const char *boot)
{
	struct dp_identity identity = {
		.stream = model.samplers[0].id, .first = first, .count = count};
	struct dp_identity_text text;
	if (boot != NULL) {
		identity.clock = DP_CLOCK_NONE;
		identity.boottime_ns = 5;
		snprintf(identity.boot, sizeof(identity.boot), "%s", boot);
	}
	dp_identity_encode(&identity, &text);
	const struct dp_bus_message message = {.topic = "local/reading/s",
		.payload = payload,
		.len = strlen(payload),
		.properties = text.properties,
		.n_properties = text.n};
	intake_reading(&model.relay->intake, &message);
}

static void test_what_cannot_be_read_is_counted_and_not_asked_for_again(void **state)
{
	static const struct dp_bus_message nobodys = {
		.topic = "local/reading/s", .payload = "x", .len = 1};
	static const char two[] = "[{\"bn\":\"s/\",\"bt\":1900000000,\"n\":\"t\",\"v\":1},"
				  "{\"bn\":\"s/\",\"bt\":1900000001,\"n\":\"t\",\"v\":1}]";
	begin(state);
	intake_reading(&model.relay->intake, &nobodys);
	assert_int_equal(model.relay->intake.refused, 1);
	assert_int_equal(model.relay->intake.received, 0);
	intake("no JSON", 1, 1, NULL);
	intake(two, 2, 1, NULL);
	intake("[{\"bn\":\"s/\",\"n\":\"t\",\"v\":1}]", 3, 1, NULL); /* no time */
	intake("[]", 4, 1, NULL);
	intake(two, 5, 2, NULL);
	assert_int_equal(model.relay->intake.refused, 6);
	assert_int_equal(streams_live(&model.relay->streams).n, 0);
	model_run(100);
	for (unsigned seq = 1; seq <= 4; seq++)
		assert_true(model.samplers[0].accepted[seq]);
	assert_int_equal(model_stop(), 0);
}

static void test_a_reading_that_comes_again_is_held_once(void **state)
{
	begin(state);
	sample(0, 3);
	model_run(100);
	assert_int_equal(streams_live(&model.relay->streams).n, 3);
	model_run(3500); /* the sampler sends again; by now they are in the outbox */
	assert_true(model.relay->intake.duplicates >= 3);
	assert_int_equal(model.relay->in_outbox, 3);
	assert_true(model.samplers[0].accepted[3]);
	model.centre_up = true;
	finish();
}

static void test_beyond_its_memory_readings_stay_with_the_sampler(void **state)
{
	begin(state);
	sample(0, 1);
	struct stream *stream = model.relay->streams.first;
	stream->live_bytes += STREAMS_LIVE_BYTES;
	sample(0, 1);
	assert_int_equal(stream->n_live, 1);
	stream->live_bytes -= STREAMS_LIVE_BYTES;
	model.centre_up = true;
	model_run(5000);
	assert_true(model.samplers[0].stored[2]);
	finish();
}

static void test_a_stream_has_one_boot_unless_the_file_had_it_wrong(void **state)
{
	static const char json[] = "[{\"bn\":\"s/\",\"n\":\"t\",\"v\":1}]";
	begin(state);
	model.clock_set = false;
	intake(json, 1, 1, "a boot");
	intake(json, 2, 1, "another");
	assert_int_equal(model.relay->intake.refused, 1);
	assert_string_equal(model.relay->streams.first->boot->id, "a boot");
	/* This board's: no sampler outlives a boot. */
	intake(json, 3, 1, model.service.clock.boot_id);
	assert_int_equal(model.relay->intake.refused, 1);
	assert_string_equal(
		model.relay->streams.first->boot->id, model.service.clock.boot_id);
	assert_int_equal(model_stop(), 0);
}

/* ---- uplink ---- */

static void test_what_is_too_large_for_the_centre_is_cut_smaller(void **state)
{
	begin(state);
	sample(0, 100);
	model_run(5000);
	model.refuse_above = 700;
	model.centre_up = true;
	model_run(60000);
	assert_true(model_settled());
	assert_true(model.refusals > 0 && model.refusals < 10);
	/* And not tried again with large ones. */
	unsigned refusals = model.refusals;
	sample(0, 100);
	finish();
	assert_int_equal(model.refusals, refusals);
}

static void test_what_the_centre_refuses_is_kept_said_and_tried_slowly(void **state)
{
	begin(state);
	model.refuse_with = 0x87;
	model.centre_up = true;
	sample(0, 5);
	model_run(600000);
	assert_says("0x87 (not authorized)");
	assert_int_equal(model.relay->in_outbox, 5);
	assert_true(model.samplers[0].accepted[5]);
	assert_true(model.batches > 3 && model.batches < 20);
	assert_int_equal(model.errors, 1);
	model.refuse_with = 0;
	model_run(400000);
	assert_healthy();
	finish();
}

static void test_one_reading_that_is_too_large_is_not_sent_for_ever(void **state)
{
	begin(state);
	model.refuse_above = 20;
	model.centre_up = true;
	sample(0, 5);
	model_run(600000);
	assert_says("0x95 (packet too large)");
	assert_true(model.batches < 30);
	assert_int_equal(model.errors, 1);
	model.refuse_above = 0;
	finish();
}

static void test_a_centre_that_does_not_answer_is_asked_again(void **state)
{
	begin(state);
	model.centre_answers = false;
	model.centre_up = true;
	sample(0, 5);
	model_run(60000);
	assert_true(model.batches >= 3 && model.batches < 20);
	assert_true(model.relay->uplink.silent);
	model.centre_answers = true;
	finish();
}

/* ---- spill ---- */

static sqlite3 *hold_lock(void)
{
	sqlite3 *other = db_open(path);
	assert_int_equal(
		sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return other;
}

static void test_another_process_holds_the_outbox_for_a_while(void **state)
{
	begin(state);
	sqlite3 *other = hold_lock();
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
	sqlite3 *other = hold_lock();
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
	sqlite3 *other = hold_lock();
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
	sqlite3 *other = hold_lock();
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
		IN_DIRECTORY(test_what_cannot_be_read_is_counted_and_not_asked_for_again),
		IN_DIRECTORY(test_a_reading_that_comes_again_is_held_once),
		IN_DIRECTORY(test_beyond_its_memory_readings_stay_with_the_sampler),
		IN_DIRECTORY(test_a_stream_has_one_boot_unless_the_file_had_it_wrong),
		IN_DIRECTORY(test_what_is_too_large_for_the_centre_is_cut_smaller),
		IN_DIRECTORY(test_what_the_centre_refuses_is_kept_said_and_tried_slowly),
		IN_DIRECTORY(test_one_reading_that_is_too_large_is_not_sent_for_ever),
		IN_DIRECTORY(test_a_centre_that_does_not_answer_is_asked_again),
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
