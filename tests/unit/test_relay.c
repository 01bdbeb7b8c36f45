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
	};
	fail_vfs_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
