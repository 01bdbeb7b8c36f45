/*
 * The publisher's parts together: readings in and batches out, as the relay has them do it,
 * with brokers, samplers and a centre as in tests/fault/model/model.h.
 */
#include "relay_model.h"

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

/* ---- answers that may take their time ---- */

static void begin_every(void **state, int64_t every_ms)
{
	model_reset(path_in(state, "outbox.db", path));
	model.config.answer_ms = 10000;
	model.config.send_every_ms = model.config.stats_every_ms = every_ms;
	model.config.within_ms = model.config.spill_after_ms = 30000 + every_ms;
	model.config.spill_auto = true;
	model.centre_up = model.centre_gathers = true;
	model_start();
	model_sampler_begin(0, 1);
	model_run(6000);
	model.warnings = 0; /* this centre shows nothing that it retains */
}

static void begin_gathering(void **state)
{
	begin_every(state, 0);
}

static void sample_each(int64_t period_ms, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		model_sample(0);
		model_run(period_ms);
	}
}

static bool all_accepted(void)
{
	const struct model_sampler *sampler = &model.samplers[0];
	uint64_t seq = 1;
	while (seq < sampler->next && sampler->accepted[seq])
		seq++;
	return seq == sampler->next;
}

static void test_answers_that_take_their_time_alarm_nobody(void **state)
{
	uint64_t most = 0;
	begin_gathering(state);
	for (unsigned i = 0; i < 200; i++) {
		sample_each(400, 1);
		most = model.relay->in_memory > most ? model.relay->in_memory : most;
	}
	const struct uplink *u = &model.relay->uplink;
	assert_int_equal(model.warnings + model.errors, 0);
	assert_int_equal(model.relay->queue.spill.spilled, 0);
	assert_int_equal(u->sender.delivery.resent, 0);
	/* A message a second, and few of them are wanted at once. */
	assert_in_range(model.batches, 60, 85);
	assert_true(most > 20);
	finish();
}

static void test_a_centre_that_is_away_has_as_long_as_its_answers_may_take(void **state)
{
	begin_gathering(state);
	sample_each(400, 20);
	model.centre_up = false;
	sample_each(400, 40);
	assert_int_equal(model.relay->queue.spill.spilled, 0);
	model_run(20000);
	assert_true(model.relay->queue.spill.spilled > 0);
	model.centre_up = true;
	finish();
}

/* What waited for its answer has it once the sampler says that it cannot wait. */
static void assert_hurry_ends_waiting(int64_t within_ms)
{
	assert_false(all_accepted());
	model.hurried = true;
	model_sample(0);
	model_run(within_ms);
	assert_true(all_accepted());
}

static void test_a_sampler_that_cannot_wait_is_answered_at_once(void **state)
{
	begin_gathering(state);
	sample_each(400, 20);
	assert_hurry_ends_waiting(200);
	assert_int_equal(model.relay->queue.spill.spilled, 0);
	/* With the centre away the outbox is what can answer. */
	model.hurried = false;
	sample_each(400, 10);
	model.centre_up = false;
	sample_each(400, 10);
	assert_hurry_ends_waiting(2500);
	model.centre_up = true;
	finish();
}

static void assert_stop_saves_all(void)
{
	assert_int_equal(model_stop(), 0);
	assert_true(all_accepted());
	model_start();
	model_run(15000);
	assert_true(model_settled());
	finish();
}

static void test_a_stop_saves_what_is_not_answered_yet(void **state)
{
	begin_gathering(state);
	sample_each(400, 20);
	assert_false(all_accepted());
	assert_stop_saves_all();
}

/* ---- SEND_EVERY ---- */

static void test_what_is_gathered_is_sent_together(void **state)
{
	begin_every(state, 60000);
	model_sampler_begin(1, 1);
	sample_each(5000, 12);
	unsigned batches = model.batches, states = model.states;
	for (unsigned i = 0; i < 100; i++) {
		model_sample(1);
		sample_each(5000, 1);
		model_say("local/stats/sampler/a", "{}");
		assert_in_range(model.batch_ms % 60000, 0, 200);
	}
	/* 500 s: eight or nine times, two streams, one state, one sampler's statistics. */
	assert_in_range(model.batches - batches, 16, 18);
	assert_in_range(model.states - states, 8, 9);
	assert_in_range(model.statistics, 8, 9);
	assert_int_equal(model.warnings + model.errors, 0);
	assert_int_equal(model.relay->queue.spill.spilled, 0);
	finish();
}

static void test_what_somebody_waits_for_is_not_gathered(void **state)
{
	begin_every(state, 600000);
	unsigned states = model.states, statuses = model.statuses;
	model_say("local/state/fan", "{\"value\":1}");
	model_run(100);
	assert_int_equal(model.states, states + 1);
	model_say("local/status/fan", "online");
	model_say("local/status/s", "online");
	model_run(1000);
	assert_int_equal(model.statuses, statuses + 2);
	/* A sensor's state is, and what else is due does not take it along. */
	sample_each(1000, 3);
	model_say("local/status/s", "offline");
	model_run(1000);
	assert_int_equal(model.statuses, statuses + 3);
	assert_int_equal(model.states, states + 1);
	assert_int_equal(model_stop(), 0);
}

static void test_a_stop_saves_what_is_gathered(void **state)
{
	begin_every(state, 600000);
	sample_each(1000, 5);
	assert_int_equal(model.batches, 0);
	assert_stop_saves_all();
}

static void test_readings_that_go_to_the_disk_first_are_gathered_there(void **state)
{
	begin_every(state, 60000);
	model.config.spill_after_ms = 2000;
	sample_each(5000, 12);
	unsigned batches = model.batches;
	sample_each(5000, 100);
	assert_in_range(model.batches - batches, 8, 10);
	assert_true(model.relay->queue.spill.spilled > 90);
	finish();
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
		IN_DIRECTORY(test_answers_that_take_their_time_alarm_nobody),
		IN_DIRECTORY(
			test_a_centre_that_is_away_has_as_long_as_its_answers_may_take),
		IN_DIRECTORY(test_a_sampler_that_cannot_wait_is_answered_at_once),
		IN_DIRECTORY(test_a_stop_saves_what_is_not_answered_yet),
		IN_DIRECTORY(test_what_is_gathered_is_sent_together),
		IN_DIRECTORY(test_what_somebody_waits_for_is_not_gathered),
		IN_DIRECTORY(test_a_stop_saves_what_is_gathered),
		IN_DIRECTORY(test_readings_that_go_to_the_disk_first_are_gathered_there),
	};
	fail_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
