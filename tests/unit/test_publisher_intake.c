/* Intake with the test as its owner: services/publisher/intake.h. */
#include "ack.h"
#include "fake_bus.h"
#include "publisher/intake.h"
#include "publisher_parts.h"

static const char reading[] = "[{\"bn\":\"s/\",\"bt\":1900000000,\"n\":\"t\",\"v\":1}]";
static const char undated[] = "[{\"bn\":\"s/\",\"n\":\"t\",\"v\":1}]";

struct owner {
	uv_loop_t loop;
	struct publisher_config config;
	struct streams streams;
	struct intake intake;
	unsigned seen;
	bool in_use;
	char accepted[128]; /* what samplers were told, as `first+count ` */
};

static struct owner the_owner;

static void seen(
	void *data, const struct dp_identity *identity, const struct dp_reading *read)
{
	struct owner *owner = data;
	assert_true(identity->first > 0);
	assert_int_equal(read->n, 1);
	owner->seen++;
}

static bool in_use(void *data, const struct stream *stream)
{
	const struct owner *owner = data;
	(void)stream;
	return owner->in_use;
}

static struct owner *begin(void)
{
	struct owner *owner = &the_owner;
	memset(owner, 0, sizeof(*owner));
	require(uv_loop_init(&owner->loop) == 0);
	clock_set = true;
	fake_bus = (struct dp_bus){.up = true};
	owner->config = test_config("");
	const struct intake_options options = {.loop = &owner->loop,
		.clock = &test_clock,
		.config = &owner->config,
		.streams = &owner->streams,
		.data = owner,
		.seen = seen,
		.in_use = in_use};
	intake_init(&owner->intake, &options);
	return owner;
}

static void end(struct owner *owner)
{
	fake_bus_clear();
	streams_clear(&owner->streams);
	assert_int_equal(uv_loop_close(&owner->loop), 0);
}

static void send_reading(struct owner *owner, uint8_t stream, uint64_t seq, uint32_t count,
	const char *payload)
{
	struct dp_identity identity = {
		.stream = stream_id(stream), .first = seq, .count = count, .low = 1};
	struct dp_identity_text text;
	if (payload == undated) {
		identity.clock = DP_CLOCK_NONE;
		identity.boottime_ns = UP_NS - 1000000;
		memcpy(identity.boot, test_clock.boot_id, sizeof(identity.boot));
	}
	if (count == 0)
		identity.low = seq;
	dp_identity_encode(&identity, &text);
	const struct dp_bus_message message = {.topic = "local/reading/s",
		.payload = payload,
		.len = strlen(payload),
		.properties = text.properties,
		.n_properties = text.n};
	intake_reading(&owner->intake, &message);
}

static void told(void *data, const struct dp_ack_range *range)
{
	struct owner *owner = data;
	size_t len = strlen(owner->accepted);
	snprintf(owner->accepted + len, sizeof(owner->accepted) - len, "%d+%d ",
		(int)range->first, (int)range->count);
}

static void told_error(void *data, const char *reason)
{
	(void)data;
	fail_msg("an error to the sampler: %s", reason);
}

/* Of the first stream. */
static void assert_told(struct owner *owner, const char *expected)
{
	owner->accepted[0] = '\0';
	intake_answer(&owner->intake, &fake_bus);
	for (size_t i = 0; i < fake_bus.n; i++) {
		const struct fake_sent *sent = &fake_bus.sent[i];
		assert_string_equal(
			sent->topic, "local/ack/01000000000000000000000000000000");
		assert_int_equal(dp_ack_decode(sent->payload, strlen(sent->payload), told,
					 told_error, owner),
			0);
	}
	fake_bus_clear();
	assert_string_equal(owner->accepted, expected);
}

static void test_a_reading_is_in_memory_and_accepted_when_it_is_answered(void **state)
{
	(void)state;
	struct owner *owner = begin();
	send_reading(owner, 1, 1, 1, reading);
	send_reading(owner, 1, 2, 1, reading);
	struct stream *stream = owner->streams.first;
	assert_int_equal(stream->n_live, 2);
	assert_string_equal(stream->node, "pi");
	assert_int_equal(owner->seen, 2);
	assert_int_equal(owner->intake.received, 2);
	assert_told(owner, "");
	assert_int_equal(stream_answer(stream, 1, 2), 0);
	assert_told(owner, "1+2 ");
	assert_int_equal(owner->intake.accepted, 2);
	assert_told(owner, "");
	end(owner);
}

static void test_what_cannot_be_read_is_refused_and_not_asked_for_again(void **state)
{
	static const struct dp_bus_message nobodys = {
		.topic = "local/reading/s", .payload = "x", .len = 1};
	(void)state;
	struct owner *owner = begin();
	intake_reading(&owner->intake, &nobodys);
	assert_int_equal(owner->streams.n, 0);
	send_reading(owner, 1, 1, 1, "no JSON");
	send_reading(owner, 1, 2, 1, "[]");
	send_reading(owner, 1, 3, 1, "[{\"bn\":\"s/\",\"n\":\"t\",\"v\":1}]");
	send_reading(owner, 1, 4, 2, reading);
	assert_int_equal(owner->intake.refused, 5);
	assert_int_equal(owner->streams.first->n_live, 0);
	assert_int_equal(owner->seen, 0);
	assert_told(owner, "1+3 ");
	end(owner);
}

static void test_a_reading_that_comes_again_is_accepted_if_it_is_stored(void **state)
{
	(void)state;
	struct owner *owner = begin();
	send_reading(owner, 1, 1, 1, reading);
	send_reading(owner, 1, 1, 1, reading);
	struct stream *stream = owner->streams.first;
	assert_int_equal(stream->n_live, 1);
	assert_told(owner, "");
	assert_int_equal(dp_intervals_add(&stream->stored, 2, 2), 0);
	assert_int_equal(dp_intervals_add(&stream->answered, 3, 3), 0);
	send_reading(owner, 1, 2, 1, reading);
	send_reading(owner, 1, 3, 1, reading);
	assert_int_equal(owner->intake.duplicates, 3);
	assert_told(owner, "2+2 ");
	end(owner);
}

static void test_beyond_its_memory_a_reading_is_seen_and_stays_with_the_sampler(
	void **state)
{
	(void)state;
	struct owner *owner = begin();
	send_reading(owner, 1, 1, 1, reading);
	struct stream *stream = owner->streams.first;
	stream->live_bytes += STREAMS_LIVE_BYTES;
	send_reading(owner, 1, 2, 1, reading);
	assert_int_equal(stream->n_live, 1);
	assert_int_equal(owner->seen, 2);
	assert_told(owner, "");
	stream->live_bytes -= STREAMS_LIVE_BYTES;
	send_reading(owner, 1, 2, 1, reading);
	assert_int_equal(stream->n_live, 2);
	end(owner);
}

static void test_a_reading_without_a_time_waits_for_the_clock(void **state)
{
	(void)state;
	struct owner *owner = begin();
	clock_set = false;
	send_reading(owner, 1, 1, 1, undated);
	struct stream *stream = owner->streams.first;
	assert_true(stream_waits(stream));
	assert_int_equal(intake_deadline(&owner->intake), INT64_MAX);
	clock_set = true;
	intake_date(&owner->intake);
	assert_false(stream_waits(stream));
	assert_int_equal(stream->boot->mark, DP_CLOCK_SYNCED);
	assert_int_equal(dating_time(stream->boot, UP_NS - 1000000), NOW_US - 1000);
	assert_int_equal(intake_deadline(&owner->intake), INT64_MAX);
	end(owner);
}

static void test_as_long_as_it_waits_there_is_a_deadline(void **state)
{
	(void)state;
	struct owner *owner = begin();
	clock_set = false;
	send_reading(owner, 1, 1, 1, undated);
	intake_date(&owner->intake);
	assert_true(stream_waits(owner->streams.first));
	assert_true(intake_deadline(&owner->intake) > (int64_t)uv_now(&owner->loop));
	assert_true(intake_deadline(&owner->intake) < INT64_MAX);
	end(owner);
}

static void test_a_last_word_is_due_unless_more_follows(void **state)
{
	(void)state;
	struct owner *owner = begin();
	send_reading(owner, 1, 5, 0, "");
	assert_true(owner->streams.first->low_due);
	assert_int_equal(owner->streams.first->heard_low, 5);
	assert_int_equal(owner->streams.first->n_live, 0);
	end(owner);
}

static void test_a_stream_that_ended_long_ago_is_forgotten_unless_it_is_used(void **state)
{
	(void)state;
	struct owner *owner = begin();
	for (uint8_t n = 1; n <= 70; n++) {
		add_stream(&owner->streams, n)->heard_ms =
			(int64_t)uv_now(&owner->loop) - 700000;
	}
	owner->in_use = true;
	send_reading(owner, 71, 1, 1, reading);
	assert_int_equal(owner->streams.n, 71);
	owner->in_use = false;
	send_reading(owner, 72, 1, 1, reading);
	assert_int_equal(owner->streams.n, 65);
	const struct dp_stream_id kept = stream_id(71);
	assert_non_null(streams_find(&owner->streams, &kept));
	end(owner);
}

/* It has no `wait` in its messages: it is of an older version. */
static void test_a_sampler_that_hurries_the_centre_is_named(void **state)
{
	(void)state;
	for (int64_t answer_ms = 0; answer_ms <= 10000; answer_ms += 10000) {
		struct capture capture;
		char log[1024];
		struct owner *owner = begin();
		owner->config.answer_ms = answer_ms;
		owner->config.send_every_ms = 0;
		capture_begin(&capture, STDERR_FILENO);
		send_reading(owner, 1, 1, 1, reading);
		owner->streams.first->urgent_ms -= 60000;
		send_reading(owner, 1, 2, 1, reading);
		capture_end(&capture, log, sizeof(log));
		/* Without time for answers all are wanted at once. */
		assert_int_equal(
			strstr(log, "stream=01000000000000000000000000000000") != NULL,
			answer_ms > 0);
		end(owner);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_reading_is_in_memory_and_accepted_when_it_is_answered),
		cmocka_unit_test(
			test_what_cannot_be_read_is_refused_and_not_asked_for_again),
		cmocka_unit_test(
			test_a_reading_that_comes_again_is_accepted_if_it_is_stored),
		cmocka_unit_test(
			test_beyond_its_memory_a_reading_is_seen_and_stays_with_the_sampler),
		cmocka_unit_test(test_a_reading_without_a_time_waits_for_the_clock),
		cmocka_unit_test(test_as_long_as_it_waits_there_is_a_deadline),
		cmocka_unit_test(test_a_last_word_is_due_unless_more_follows),
		cmocka_unit_test(test_a_sampler_that_hurries_the_centre_is_named),
		cmocka_unit_test(
			test_a_stream_that_ended_long_ago_is_forgotten_unless_it_is_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
