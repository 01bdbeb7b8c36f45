/* Deflated batches: offered, taken, taken back. services/publisher/uplink/encoding.h */
#include "deflate.h"
#include "uplink_owner.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)

static struct dp_inflater inflater;

static struct owner *begin(bool deflate)
{
	struct publisher_config config = test_config("");
	config.deflate = deflate;
	return open_uplink(&config);
}

static void end(struct owner *owner)
{
	assert_string_equal(owner->others, "");
	close_uplink(owner);
	dp_inflater_finish(&inflater);
}

static void empty_answer(const void *correlation, size_t len)
{
	const struct dp_bus_message message = {.topic = "ack/pi/0123456789abcdef",
		.payload = "",
		.correlation = correlation,
		.correlation_len = len};
	fake_bus.options.on_message(fake_bus.options.data, &message);
}

/* `first+count`, a star when it is encoded, an o when it offers; the payload is right. */
static void assert_sent(struct owner *owner, const char *expected)
{
	char text[256] = "";
	uplink_send(&owner->uplink, false);
	for (size_t i = 0; i < fake_bus.n; i++) {
		const struct fake_sent *sent = &fake_bus.sent[i];
		const struct dp_identity *id = &sent->identity;
		bool encoded = id->encoding == DP_ENCODING_DEFLATE;
		const char *why, *payload = sent->payload;
		size_t len = strlen(text), payload_len = sent->len, readings = 0;
		assert_true(sent->typed != encoded);
		snprintf(text + len, sizeof(text) - len, "%d+%d%s%s ", (int)id->first,
			(int)id->count, encoded ? "*" : "",
			id->offer == DP_ENCODING_DEFLATE ? "o" : "");
		if (encoded) {
			assert_int_equal(dp_inflate(&inflater, payload, payload_len,
						 REFUSAL_BATCH_BYTES, &why),
				0);
			assert_true(inflater.len > payload_len);
			payload = inflater.at;
			payload_len = inflater.len;
		}
		for (size_t k = 0; k < payload_len; k++)
			readings += payload[k] == '{';
		assert_int_equal(readings, id->count);
		assert_int_equal(payload[0], '[');
		assert_int_equal(payload[payload_len - 1], ']');
	}
	fake_bus_clear();
	assert_string_equal(text, expected);
}

/* The centre has taken it. */
static struct owner *begin_taken(void)
{
	struct owner *owner = begin(true);
	add_live(owner->stream, 1, 10, 0);
	assert_sent(owner, "1+10o ");
	answer_taking(owner, DP_ACK_STORED, 1, 10, true);
	return owner;
}

static void test_switched_off_nothing_is_offered_or_encoded(void **state)
{
	(void)state;
	struct owner *owner = begin(false);
	add_live(owner->stream, 1, 10, 0);
	assert_sent(owner, "1+10 ");
	answer_taking(owner, DP_ACK_STORED, 1, 10, true);
	add_live(owner->stream, 11, 20, 0);
	assert_sent(owner, "11+10 ");
	end(owner);
}

static void test_it_is_offered_until_it_is_taken_and_then_used(void **state)
{
	(void)state;
	struct owner *owner = begin(true);
	for (uint64_t first = 1; first < 31; first += 10) {
		char expected[16];
		add_live(owner->stream, first, first + 9, 0);
		snprintf(expected, sizeof(expected), "%d+10o ", (int)first);
		assert_sent(owner, expected);
		answer_taking(owner, DP_ACK_STORED, first, 10, first == 21);
	}
	add_live(owner->stream, 31, 130, 0);
	assert_sent(owner, "31+100* ");
	/* Also after a connection that was lost. */
	fake_bus_set_up(false);
	fake_bus_set_up(true);
	fake_bus_clear();
	assert_sent(owner, "31+100* ");
	end(owner);
}

static void test_what_becomes_no_shorter_goes_as_it_is(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	static const char text[] = "[1]";
	const struct payload payload =
		encoding_payload(&owner->uplink.sender.encoding, text, 3, true, 0);
	assert_ptr_equal(payload.at, text);
	assert_int_equal(payload.len, 3);
	assert_int_equal(payload.encoding, DP_ENCODING_NONE);
	assert_int_equal(payload.offer, DP_ENCODING_NONE);
	end(owner);
}

static void test_an_empty_answer_stores_all_of_an_encoded_message(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	add_live(owner->stream, 11, 20, 0);
	uplink_send(&owner->uplink, false);
	struct fake_sent sent = fake_bus.sent[0];
	assert_sent(owner, "11+10* ");
	/* Of something else, or of nothing. */
	empty_answer(NULL, 0);
	empty_answer("12345678", 8);
	empty_answer(sent.correlation, sent.correlation_len - 1);
	assert_int_equal(owner->uplink.strange_answers, 3);
	assert_int_equal(owner->stream->n_live, 10);
	empty_answer(sent.correlation, sent.correlation_len);
	assert_int_equal(owner->stream->n_live, 0);
	assert_set(&owner->stream->accepted, "1-20");
	assert_int_equal(owner->uplink.stored, 20);
	assert_int_equal(uplink_in_flight(&owner->uplink), 0);
	empty_answer(sent.correlation, sent.correlation_len);
	assert_int_equal(owner->uplink.strange_answers, 4);
	assert_int_equal(owner->uplink.stored, 20);
	end(owner);
}

static void test_an_empty_answer_is_about_what_is_left_of_its_message(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	add_live(owner->stream, 11, 20, 0);
	uplink_send(&owner->uplink, false);
	const struct fake_sent sent = fake_bus.sent[0];
	assert_sent(owner, "11+10* ");
	answer_taking(owner, DP_ACK_STORED, 11, 4, false);
	assert_int_equal(owner->stream->n_live, 6);
	empty_answer(sent.correlation, sent.correlation_len);
	assert_set(&owner->stream->accepted, "1-20");
	assert_int_equal(owner->uplink.stored, 20);
	end(owner);
}

static void test_an_empty_answer_to_a_plain_message_says_nothing(void **state)
{
	(void)state;
	struct owner *owner = begin(true);
	add_live(owner->stream, 1, 10, 0);
	uplink_send(&owner->uplink, false);
	const struct fake_sent sent = fake_bus.sent[0];
	empty_answer(sent.correlation, sent.correlation_len);
	assert_int_equal(owner->uplink.strange_answers, 1);
	assert_int_equal(owner->stream->n_live, 10);
	end(owner);
}

static void test_what_is_postponed_goes_out_again_at_once_and_plain(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	owner->config.batch_size = 10;
	add_live(owner->stream, 11, 40, 0);
	assert_sent(owner, "11+10* 21+10* 31+10* ");
	/* What is new now would wait for others. */
	struct pacing *pacing = &owner->uplink.sender.pacing;
	pacing->apart_ms = MINUTE_MS;
	pacing_sent(pacing, (int64_t)uv_now(&owner->loop));
	answer_taking(owner, DP_ACK_LATER, 11, 10, false);
	assert_int_equal(owner->stream->uplink.parked_until_ms, 0);
	assert_sent(owner, "11+10 ");
	pacing->apart_ms = 0;
	/* Those behind it are answered as well. */
	answer_taking(owner, DP_ACK_LATER, 21, 20, false);
	assert_sent(owner, "21+10 31+10 ");
	/* An answer to an offer of before. */
	answer_taking(owner, DP_ACK_STORED, 11, 10, true);
	add_live(owner->stream, 41, 50, 0);
	assert_sent(owner, "41+10 ");
	/* Plain, it is for another reason. */
	answer_taking(owner, DP_ACK_LATER, 41, 10, false);
	assert_true(owner->stream->uplink.parked_until_ms > 0);
	assert_sent(owner, "");
	owner->stream->uplink.parked_until_ms = 0;
	owner->uplink.sender.encoding.offer_ms = 0;
	assert_sent(owner, "41+10o ");
	end(owner);
}

/* A full set of gaps, another node's stream: `later` says nothing of the encoding then. */
static void test_a_stream_that_is_parked_goes_as_it_is(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	const struct encoding *encoding = &owner->uplink.sender.encoding;
	add_live(owner->stream, 11, 20, 0);
	assert_sent(owner, "11+10* ");
	answer_taking(owner, DP_ACK_LATER, 11, 10, false);
	assert_sent(owner, "11+10 ");
	/* So that was not the reason; and the next offer is taken up. */
	owner->uplink.sender.encoding.offer_ms = 0;
	answer_taking(owner, DP_ACK_LATER, 11, 10, true);
	assert_true(owner->stream->uplink.parked_until_ms > 0);
	assert_true(encoding_on(encoding));
	for (int i = 0; i < 2; i++) {
		owner->stream->uplink.parked_until_ms = 0;
		assert_sent(owner, "11+10 ");
		answer_taking(owner, i == 0 ? DP_ACK_LATER : DP_ACK_STORED, 11, 10, false);
		assert_int_equal(owner->stream->uplink.parked_until_ms > 0, i == 0);
		assert_true(encoding_on(encoding));
	}
	/* It is taken again. */
	add_live(owner->stream, 21, 30, 0);
	assert_sent(owner, "21+10* ");
	end(owner);
}

static void test_what_is_postponed_of_the_outbox_goes_out_again_at_once(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	const struct outbox_page page = page_of(11, 10);
	assert_int_equal(dp_intervals_add(&owner->stream->stored, 11, 20), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(uplink_wants(&owner->uplink).seq, 11);
		uplink_page(&owner->uplink, owner->stream, &page);
		assert_sent(owner, i == 0 ? "11+10* " : "11+10 ");
		if (i == 0)
			answer_taking(owner, DP_ACK_LATER, 11, 10, false);
	}
	end(owner);
}

static void test_each_way_of_sending_has_a_size_of_its_own(void **state)
{
	(void)state;
	struct owner *owner = begin_taken();
	const struct refusal *refusal = &owner->uplink.sender.refusal;
	add_live(owner->stream, 11, 110, 0);
	fake_bus.refuse_with = -EMSGSIZE;
	uplink_send(&owner->uplink, false);
	fake_bus.refuse_with = 0;
	size_t limit = refusal_limit(refusal, true);
	/* Half of the text, of which the message was a part only. */
	assert_in_range(limit, 40 * 100 / 2, 50 * 100 / 2);
	assert_int_equal(refusal_limit(refusal, false), REFUSAL_BATCH_BYTES);
	assert_false(uplink_has_in_flight(&owner->uplink, owner->stream, 11));
	uplink_send(&owner->uplink, false);
	assert_in_range(fake_bus.n, 2, 4);
	for (size_t i = 0; i < fake_bus.n; i++)
		assert_int_equal(fake_bus.sent[i].identity.encoding, DP_ENCODING_DEFLATE);
	fake_bus_clear();
	/* A refusal by the broker's answer, of the same kind. */
	fake_bus.options.on_refused(
		fake_bus.options.data, "/data/pi/batch", REFUSAL_TOO_LARGE);
	assert_true(refusal_limit(refusal, true) < limit);
	assert_int_equal(refusal_limit(refusal, false), REFUSAL_BATCH_BYTES);
	end(owner);
}

/* The broker does not say which message it refuses: the largest one surely is too large. */
static void test_what_was_largest_as_it_was_sent_is_cut_smaller(void **state)
{
	(void)state;
	struct owner *owner = begin(true);
	const struct refusal *refusal = &owner->uplink.sender.refusal;
	add_live(owner->stream, 1, 50, 0);
	assert_sent(owner, "1+50o ");
	answer_taking(owner, DP_ACK_STORED, 1, 1, true);
	add_live(owner->stream, 51, 70, 0);
	assert_sent(owner, "51+20* ");
	fake_bus.options.on_refused(
		fake_bus.options.data, "/data/pi/batch", REFUSAL_TOO_LARGE);
	assert_in_range(refusal_limit(refusal, false), 40 * 50 / 2, 50 * 50 / 2);
	assert_int_equal(refusal_limit(refusal, true), REFUSAL_BATCH_BYTES);
	/* Another one, after the pause: only the deflated one can have been it. */
	owner->uplink.sender.refusal.until_ms = 0;
	fake_bus.options.on_refused(
		fake_bus.options.data, "/data/pi/batch", REFUSAL_TOO_LARGE);
	assert_in_range(refusal_limit(refusal, true), 40 * 20 / 2, 50 * 20 / 2);
	end(owner);
}

static void take_and_postpone(struct encoding *encoding, int64_t *now_ms, int64_t pause_ms)
{
	assert_true(encoding_offers(encoding, *now_ms));
	encoding_taken(encoding, *now_ms);
	assert_true(encoding_on(encoding));
	assert_false(encoding_offers(encoding, *now_ms));
	encoding_postponed(encoding, *now_ms);
	encoding_postponed(encoding, *now_ms); /* of the same volley */
	assert_false(encoding_on(encoding));
	*now_ms += pause_ms - 1;
	assert_false(encoding_offers(encoding, *now_ms));
	encoding_taken(encoding, *now_ms);
	assert_false(encoding_on(encoding));
	*now_ms += 1;
}

static void test_it_is_offered_again_less_and_less_often(void **state)
{
	(void)state;
	struct encoding encoding;
	int64_t now_ms = 1000;
	static const int64_t minutes[] = {10, 20, 40, 80, 160, 240, 240};
	encoding_init(&encoding, true, 1000);
	for (size_t i = 0; i < LENGTH(minutes); i++)
		take_and_postpone(&encoding, &now_ms, minutes[i] * MINUTE_MS);
	/* It worked for a day: that was another centre. */
	encoding_taken(&encoding, now_ms);
	now_ms += 24 * HOUR_MS;
	encoding_postponed(&encoding, now_ms);
	assert_false(encoding_offers(&encoding, now_ms + 10 * MINUTE_MS - 1));
	assert_true(encoding_offers(&encoding, now_ms + 10 * MINUTE_MS));
	encoding_finish(&encoding);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switched_off_nothing_is_offered_or_encoded),
		cmocka_unit_test(test_it_is_offered_until_it_is_taken_and_then_used),
		cmocka_unit_test(test_what_becomes_no_shorter_goes_as_it_is),
		cmocka_unit_test(test_an_empty_answer_stores_all_of_an_encoded_message),
		cmocka_unit_test(test_an_empty_answer_is_about_what_is_left_of_its_message),
		cmocka_unit_test(test_an_empty_answer_to_a_plain_message_says_nothing),
		cmocka_unit_test(test_what_is_postponed_goes_out_again_at_once_and_plain),
		cmocka_unit_test(test_a_stream_that_is_parked_goes_as_it_is),
		cmocka_unit_test(
			test_what_is_postponed_of_the_outbox_goes_out_again_at_once),
		cmocka_unit_test(test_each_way_of_sending_has_a_size_of_its_own),
		cmocka_unit_test(test_what_was_largest_as_it_was_sent_is_cut_smaller),
		cmocka_unit_test(test_it_is_offered_again_less_and_less_often),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
