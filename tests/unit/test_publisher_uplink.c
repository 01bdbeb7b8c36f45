/* The uplink with the test as its owner, and as the centre: services/publisher/uplink/. */
#include "uplink_owner.h"

static struct owner *begin_with(int64_t answer_ms)
{
	struct publisher_config config = test_config("");
	config.answer_ms = answer_ms;
	return open_uplink(&config);
}

static struct owner *begin(void)
{
	return begin_with(0);
}

static void answer(
	struct owner *owner, enum dp_ack_kind kind, uint64_t first, uint64_t count)
{
	answer_taking(owner, kind, first, count, false);
}

/* What was sent since, as `first+count ` of each batch. */
static void assert_sent(const char *expected)
{
	char text[256] = "";
	for (size_t i = 0; i < fake_bus.n; i++) {
		const struct fake_sent *sent = &fake_bus.sent[i];
		size_t len = strlen(text);
		assert_string_equal(sent->topic, "/data/pi/batch");
		assert_string_equal(sent->response, "ack/pi/0123456789abcdef");
		snprintf(text + len, sizeof(text) - len, "%d+%d ",
			(int)sent->identity.first, (int)sent->identity.count);
	}
	fake_bus_clear();
	assert_string_equal(text, expected);
}

static void test_it_says_that_the_node_is_there_and_that_it_goes(void **state)
{
	(void)state;
	struct owner *owner = begin();
	assert_int_equal(owner->connected, 1);
	assert_string_equal(fake_bus.filters, "ack/+/0123456789abcdef ");
	assert_string_equal(fake_bus.options.will_topic, "status/pi");
	assert_null(uplink_health(&owner->uplink));
	uplink_close(&owner->uplink);
	assert_string_equal(fake_bus.sent[0].topic, "status/pi");
	assert_string_equal(fake_bus.sent[0].payload, "offline");
	close_uplink(owner);
}

static void test_live_readings_are_sent_once_and_leave_when_they_are_answered(void **state)
{
	(void)state;
	struct owner *owner = begin();
	add_live(owner->stream, 1, 5, 0);
	add_live(owner->stream, 7, 8, 0);
	uplink_send(&owner->uplink, false);
	assert_sent("1+5 7+2 ");
	assert_true(uplink_has_in_flight(&owner->uplink, owner->stream, 5));
	assert_false(uplink_has_in_flight(&owner->uplink, owner->stream, 6));
	uplink_send(&owner->uplink, false);
	assert_sent("");
	answer(owner, DP_ACK_STORED, 1, 5);
	assert_int_equal(owner->stream->n_live, 2);
	assert_set(&owner->stream->accepted, "1-5");
	assert_false(uplink_has_in_flight(&owner->uplink, owner->stream, 5));
	answer(owner, DP_ACK_REJECTED, 7, 2);
	assert_int_equal(owner->stream->n_live, 0);
	assert_int_equal(owner->uplink.stored, 5);
	assert_int_equal(owner->uplink.rejected, 2);
	assert_int_equal(uplink_deadline(&owner->uplink), INT64_MAX);
	close_uplink(owner);
}

static void test_after_a_disconnect_all_is_sent_again(void **state)
{
	(void)state;
	struct owner *owner = begin();
	add_live(owner->stream, 1, 3, 0);
	uplink_send(&owner->uplink, false);
	assert_sent("1+3 ");
	fake_bus_set_up(false);
	assert_false(uplink_uses(&owner->uplink, owner->stream));
	uplink_send(&owner->uplink, false);
	assert_sent("");
	fake_bus_set_up(true);
	uplink_send(&owner->uplink, false);
	assert_sent("1+3 ");
	close_uplink(owner);
}

static void test_a_page_is_asked_for_sent_and_not_asked_for_again(void **state)
{
	(void)state;
	struct owner *owner = begin();
	assert_null(uplink_wants(&owner->uplink).stream);
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 3, 8), 0);
	struct page_want want = uplink_wants(&owner->uplink);
	assert_ptr_equal(want.stream, owner->stream);
	assert_int_equal(want.seq, 3);
	assert_true(uplink_uses(&owner->uplink, owner->stream));
	const struct outbox_page page = page_of(3, 6);
	uplink_page(&owner->uplink, owner->stream, &page);
	/* Answered meanwhile: it is left out. */
	assert_int_equal(stream_answer(owner->stream, 5, 1), 0);
	uplink_send(&owner->uplink, false);
	assert_sent("3+2 6+3 ");
	assert_null(uplink_wants(&owner->uplink).stream);
	answer(owner, DP_ACK_STORED, 3, 6);
	assert_set(&owner->stream->stored, "");
	assert_set(&owner->stream->answered, "3-8");
	close_uplink(owner);
}

static void test_a_page_that_is_not_wanted_any_more_is_dropped(void **state)
{
	(void)state;
	struct owner *owner = begin();
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 3, 8), 0);
	assert_int_equal(uplink_wants(&owner->uplink).seq, 3);
	fake_bus_set_up(false);
	fake_bus_set_up(true);
	const struct outbox_page page = page_of(3, 6);
	uplink_page(&owner->uplink, owner->stream, &page);
	uplink_send(&owner->uplink, false);
	assert_sent("");
	assert_int_equal(uplink_wants(&owner->uplink).seq, 3);
	close_uplink(owner);
}

static void test_what_the_centre_postpones_is_kept_for_later(void **state)
{
	(void)state;
	struct owner *owner = begin();
	add_live(owner->stream, 1, 3, 0);
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 5, 8), 0);
	uplink_send(&owner->uplink, false);
	assert_sent("1+3 ");
	answer(owner, DP_ACK_LATER, 1, 3);
	uplink_send(&owner->uplink, false);
	assert_sent("");
	assert_null(uplink_wants(&owner->uplink).stream);
	assert_int_equal(owner->stream->n_live, 3);
	assert_true(uplink_deadline(&owner->uplink) > (int64_t)uv_now(&owner->loop));
	assert_true(uplink_deadline(&owner->uplink) < INT64_MAX);
	assert_int_equal(owner->uplink.later, 1);
	owner->stream->uplink.parked_until_ms = 0;
	uplink_send(&owner->uplink, false);
	assert_sent("1+3 ");
	close_uplink(owner);
}

static void test_what_the_broker_refuses_pauses_and_is_said(void **state)
{
	(void)state;
	struct owner *owner = begin();
	add_live(owner->stream, 1, 3, 0);
	uplink_send(&owner->uplink, false);
	assert_sent("1+3 ");
	fake_bus.options.on_refused(fake_bus.options.data, "/data/pi/batch", 0x87);
	assert_non_null(uplink_health(&owner->uplink));
	assert_non_null(strstr(uplink_health(&owner->uplink), "0x87 (not authorized)"));
	assert_non_null(strstr(uplink_health(&owner->uplink), "make provision-node"));
	add_live(owner->stream, 4, 4, 0);
	uplink_send(&owner->uplink, false);
	assert_sent("");
	answer(owner, DP_ACK_STORED, 1, 3);
	assert_null(uplink_health(&owner->uplink));
	uplink_send(&owner->uplink, false);
	assert_sent("4+1 ");
	close_uplink(owner);
}

/* SPILL_AFTER_MS=0: from the disk; but nobody waits for a disk that cannot be written. */
static void test_with_the_disk_first_live_readings_go_only_without_one(void **state)
{
	(void)state;
	struct owner *owner = begin();
	owner->config.spill_after_ms = 0;
	add_live(owner->stream, 1, 3, 0);
	uplink_send(&owner->uplink, false);
	assert_sent("");
	uplink_send(&owner->uplink, true);
	assert_sent("1+3 ");
	close_uplink(owner);
}

static void test_what_cannot_be_published_is_cut_smaller_or_sent_later(void **state)
{
	(void)state;
	struct owner *owner = begin();
	add_live(owner->stream, 1, 100, 0);
	fake_bus.refuse_with = -EMSGSIZE;
	uplink_send(&owner->uplink, false);
	assert_sent("");
	assert_true(
		refusal_limit(&owner->uplink.sender.refusal, false) < REFUSAL_BATCH_BYTES);
	assert_false(uplink_has_in_flight(&owner->uplink, owner->stream, 1));
	fake_bus.refuse_with = 0;
	uplink_send(&owner->uplink, false);
	assert_true(fake_bus.n >= 2);
	fake_bus_clear();
	close_uplink(owner);
}

static void test_a_last_word_is_said_until_it_is_answered(void **state)
{
	(void)state;
	struct owner *owner = begin();
	owner->stream->heard_low = 9;
	owner->stream->low_due = true;
	uplink_send(&owner->uplink, false);
	assert_int_equal(fake_bus.n, 1);
	assert_int_equal(fake_bus.sent[0].identity.count, 0);
	assert_int_equal(fake_bus.sent[0].identity.low, 9);
	const struct dp_bus_message heard = {.topic = "ack/pi/0123456789abcdef",
		.payload = "{}",
		.len = 2,
		.correlation = fake_bus.sent[0].correlation,
		.correlation_len = fake_bus.sent[0].correlation_len};
	fake_bus.options.on_message(fake_bus.options.data, &heard);
	assert_false(owner->stream->low_due);
	assert_int_equal(owner->uplink.strange_answers, 0);
	/* Once more: nobody asked. */
	fake_bus.options.on_message(fake_bus.options.data, &heard);
	assert_int_equal(owner->uplink.strange_answers, 1);
	close_uplink(owner);
}

static void test_what_is_no_answer_goes_to_the_owner_and_strange_ones_are_counted(
	void **state)
{
	const struct dp_bus_message command = {.topic = "cmd/pi/fan/set"};
	const struct dp_bus_message garbage = {
		.topic = "ack/pi/0123456789abcdef", .payload = "?", .len = 1};
	(void)state;
	struct owner *owner = begin();
	fake_bus.options.on_message(fake_bus.options.data, &command);
	assert_string_equal(owner->others, "cmd/pi/fan/set");
	fake_bus.options.on_message(fake_bus.options.data, &garbage);
	/* Only what was sent can have been answered. */
	add_live(owner->stream, 1, 1, 0);
	answer(owner, DP_ACK_STORED, 1, 1);
	assert_int_equal(owner->uplink.strange_answers, 2);
	assert_int_equal(owner->stream->n_live, 1);
	close_uplink(owner);
}

/* ---- ANSWER_WITHIN ---- */

/* What the only message that was sent since says of its answer. */
static void assert_waits(const char *sent, uint32_t wait_ms)
{
	assert_int_equal(fake_bus.n, 1);
	assert_int_equal(fake_bus.sent[0].identity.wait_ms, wait_ms);
	assert_sent(sent);
}

/* A reading that comes when the last message is long ago. */
static void send_one(struct owner *owner, uint64_t seq)
{
	add_live(owner->stream, seq, seq, 0);
	pacing_reset(&owner->uplink.sender.pacing);
	uplink_send(&owner->uplink, false);
}

static void test_the_first_answer_is_wanted_at_once_and_later_ones_may_take_time(
	void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	send_one(owner, 1);
	assert_waits("1+1 ", 0);
	answer(owner, DP_ACK_STORED, 1, 1);
	send_one(owner, 2);
	assert_waits("2+1 ", 10000);
	fake_bus_set_up(false);
	fake_bus_set_up(true);
	send_one(owner, 3);
	assert_waits("2+2 ", 0);
	close_uplink(owner);
}

/* ---- LINK=metered ---- */

static void assert_qos(int qos, const char *sent)
{
	assert_int_equal(fake_bus.n, 1);
	assert_int_equal(fake_bus.sent[0].qos, qos);
	assert_sent(sent);
}

/* The broker's own answer says why it refuses: to the first, and to what got none. */
static void test_on_a_metered_link_brokers_answer_what_is_wanted_at_once(void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	owner->config.metered = true;
	send_one(owner, 1);
	assert_qos(1, "1+1 ");
	answer(owner, DP_ACK_STORED, 1, 1);
	send_one(owner, 2);
	assert_qos(0, "2+1 ");
	/* Its time is up. */
	sender_expire(&owner->uplink.sender, (int64_t)uv_now(&owner->loop) + 20000);
	pacing_reset(&owner->uplink.sender.pacing);
	uplink_send(&owner->uplink, false);
	assert_qos(1, "2+1 ");
	answer(owner, DP_ACK_STORED, 2, 1);
	send_one(owner, 3);
	assert_qos(0, "3+1 ");
	owner->config.metered = false;
	send_one(owner, 4);
	assert_qos(1, "4+1 ");
	close_uplink(owner);
}

static void test_what_comes_soon_after_a_message_goes_with_the_next(void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	int64_t now_ms = (int64_t)uv_now(&owner->loop);
	send_one(owner, 1);
	assert_waits("1+1 ", 0);
	add_live(owner->stream, 2, 4, now_ms);
	uplink_send(&owner->uplink, false);
	assert_sent("");
	assert_int_equal(uplink_deadline(&owner->uplink), now_ms + 1000);
	pacing_reset(&owner->uplink.sender.pacing);
	uplink_send(&owner->uplink, false);
	assert_sent("2+3 ");
	close_uplink(owner);
}

static void test_nothing_waits_while_memory_fills(void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	send_one(owner, 1);
	answer(owner, DP_ACK_STORED, 1, 1);
	fake_bus_clear();
	add_live(owner->stream, 2, 3, (int64_t)uv_now(&owner->loop));
	owner->stream->live_bytes += STREAMS_LIVE_BYTES / 4;
	uplink_send(&owner->uplink, false);
	assert_waits("2+2 ", 0);
	owner->stream->live_bytes -= STREAMS_LIVE_BYTES / 4;
	close_uplink(owner);
}

static void test_what_an_urgent_sampler_waits_for_is_asked_for_again(void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	send_one(owner, 1);
	answer(owner, DP_ACK_STORED, 1, 1);
	send_one(owner, 2);
	send_one(owner, 3);
	fake_bus_clear();
	stream_hear(owner->stream, 0, true);
	add_live(owner->stream, 4, 4, (int64_t)uv_now(&owner->loop));
	uplink_send(&owner->uplink, false);
	assert_waits("2+3 ", 0);
	/* Once. */
	uplink_send(&owner->uplink, false);
	assert_sent("");
	close_uplink(owner);
}

static void test_with_the_disk_first_a_little_backlog_waits_for_more(void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	owner->config.spill_after_ms = 0;
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 1, 1), 0);
	assert_int_equal(uplink_wants(&owner->uplink).seq, 1);
	struct outbox_page page = page_of(1, 1);
	uplink_page(&owner->uplink, owner->stream, &page);
	uplink_send(&owner->uplink, false);
	assert_waits("1+1 ", 0);
	assert_null(uplink_wants(&owner->uplink).stream);
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 2, 2), 0);
	assert_null(uplink_wants(&owner->uplink).stream);
	assert_in_range(uplink_deadline(&owner->uplink), (int64_t)uv_now(&owner->loop) + 1,
		(int64_t)uv_now(&owner->loop) + 1000);
	/* A full message has nothing to wait for. */
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 3, 600), 0);
	assert_int_equal(uplink_wants(&owner->uplink).seq, 2);
	close_uplink(owner);
}

/* Such a sampler says of no reading that there is time: it has its answers already. */
static void test_what_is_in_the_outbox_may_wait_whatever_its_sampler_says(void **state)
{
	(void)state;
	struct owner *owner = begin_with(10000);
	owner->config.spill_after_ms = 0;
	stream_hear(owner->stream, 0, true);
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 1, 2), 0);
	struct outbox_page page = page_of(1, 2);
	for (uint64_t seq = 1; seq <= 2; seq++) {
		pacing_reset(&owner->uplink.sender.pacing);
		owner->config.batch_size = 1;
		assert_int_equal(uplink_wants(&owner->uplink).seq, seq);
		page = page_of(seq, 1);
		uplink_page(&owner->uplink, owner->stream, &page);
		uplink_send(&owner->uplink, false);
		assert_waits(seq == 1 ? "1+1 " : "2+1 ", seq == 1 ? 0 : 10000);
		answer(owner, DP_ACK_STORED, seq, 1);
	}
	close_uplink(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_says_that_the_node_is_there_and_that_it_goes),
		cmocka_unit_test(
			test_live_readings_are_sent_once_and_leave_when_they_are_answered),
		cmocka_unit_test(test_after_a_disconnect_all_is_sent_again),
		cmocka_unit_test(
			test_with_the_disk_first_live_readings_go_only_without_one),
		cmocka_unit_test(test_a_page_is_asked_for_sent_and_not_asked_for_again),
		cmocka_unit_test(test_a_page_that_is_not_wanted_any_more_is_dropped),
		cmocka_unit_test(test_what_the_centre_postpones_is_kept_for_later),
		cmocka_unit_test(test_what_the_broker_refuses_pauses_and_is_said),
		cmocka_unit_test(
			test_what_cannot_be_published_is_cut_smaller_or_sent_later),
		cmocka_unit_test(test_a_last_word_is_said_until_it_is_answered),
		cmocka_unit_test(
			test_what_is_no_answer_goes_to_the_owner_and_strange_ones_are_counted),
		cmocka_unit_test(
			test_the_first_answer_is_wanted_at_once_and_later_ones_may_take_time),
		cmocka_unit_test(
			test_on_a_metered_link_brokers_answer_what_is_wanted_at_once),
		cmocka_unit_test(test_what_comes_soon_after_a_message_goes_with_the_next),
		cmocka_unit_test(test_nothing_waits_while_memory_fills),
		cmocka_unit_test(test_what_an_urgent_sampler_waits_for_is_asked_for_again),
		cmocka_unit_test(test_with_the_disk_first_a_little_backlog_waits_for_more),
		cmocka_unit_test(
			test_what_is_in_the_outbox_may_wait_whatever_its_sampler_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
