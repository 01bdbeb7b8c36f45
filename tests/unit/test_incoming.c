/* What ingest keeps of a message that it is given: services/ingest/incoming.h */
#include "incoming_message.h"

static void test_a_batch_is_copied_with_all_that_is_needed(void **state)
{
	(void)state;
	/* What it was copied from may go. */
	char topic[] = "/data/orangepi0/batch", payload[] = "[1,2]";
	char response[] = "ack/orangepi0/0123", correlation[] = {0, 1, 2};
	struct dp_bus_message message = native_message();
	message.topic = topic;
	message.payload = payload;
	message.response_topic = response;
	message.correlation = correlation;
	message.correlation_len = sizeof(correlation);
	struct incoming *in = copy(&message, false);
	memset(topic, 'x', sizeof(topic));
	memset(payload, 'x', sizeof(payload));
	memset(response, 'x', sizeof(response));
	memset(correlation, 'x', sizeof(correlation));
	assert_false(in->plain);
	assert_null(in->next);
	assert_string_equal(in->topic, "/data/orangepi0/batch");
	assert_string_equal(in->node, "orangepi0");
	assert_int_equal(in->len, 5);
	assert_memory_equal(in->payload, "[1,2]", 6); /* a NUL follows */
	assert_string_equal(in->response_topic, "ack/orangepi0/0123");
	assert_int_equal(in->correlation_len, 3);
	assert_memory_equal(in->correlation, "\0\1\2", 3);
	assert_int_equal(in->received_us, 1234);
	assert_int_equal(in->clock, DP_CLOCK_UNSYNCED);
	assert_int_equal(in->identity_error, 0);
	assert_int_equal(in->identity.first, 7);
	assert_int_equal(in->identity.count, 3);
	assert_in_range(incoming_size(in), sizeof(*in) + 5, sizeof(*in) + 5 + 64);
	incoming_free(in);
}

static size_t deflate_text(const char *text, char *deflated, size_t size)
{
	struct dp_deflater deflater = {.z = NULL};
	assert_int_equal(dp_deflater_init(&deflater), 0);
	size_t n = dp_deflate(&deflater, text, strlen(text), deflated, size);
	assert_true(n > 0);
	dp_deflater_finish(&deflater);
	return n;
}

#define READING                                                                            \
	"[{\"bn\":\"s/\",\"bt\":1732312345.000000,\"n\":\"t\",\"v\":1}"                    \
	",{\"bn\":\"s/\",\"bt\":1732312346.000000,\"n\":\"t\",\"v\":2}"                    \
	",{\"bn\":\"s/\",\"bt\":1732312347.000000,\"n\":\"t\",\"v\":3}]"
static const struct dp_property encoded[] = {{"v", "2"}, {"stream", HEX}, {"first", "7"},
	{"count", "3"}, {"encoding", "deflate"}};

static void test_an_encoded_batch_is_kept_as_if_it_were_not(void **state)
{
	(void)state;
	static const char *const texts[] = {READING, "[1,2]"};
	for (size_t i = 0; i < LENGTH(texts); i++) {
		char deflated[256];
		struct dp_bus_message message = native_message();
		message.payload = texts[i];
		message.len = strlen(texts[i]);
		struct incoming *plain = copy(&message, false);
		message.payload = deflated;
		message.len = deflate_text(texts[i], deflated, sizeof(deflated));
		message.properties = encoded;
		message.n_properties = LENGTH(encoded);
		struct incoming *in = copy(&message, false);
		assert_null(in->unreadable);
		assert_true(in->condensed == plain->condensed);
		assert_int_equal(in->len, plain->len);
		assert_memory_equal(in->payload, plain->payload, plain->len + 1);
		incoming_free(plain);
		incoming_free(in);
	}
}

static void test_what_cannot_be_inflated_is_kept_as_it_came(void **state)
{
	(void)state;
	struct dp_bus_message message = native_message();
	message.properties = encoded;
	message.n_properties = LENGTH(encoded);
	struct incoming *in = copy(&message, false);
	assert_string_equal(in->unreadable, "the payload is not deflated, or damaged");
	assert_int_equal(in->len, 5);
	assert_memory_equal(in->payload, "[1,2]", 6);
	incoming_free(in);
}

static void test_plain_messages_are_never_inflated(void **state)
{
	(void)state;
	char deflated[256];
	const struct dp_bus_message message = {.topic = "/data/orangepi0",
		.payload = deflated,
		.len = deflate_text(READING, deflated, sizeof(deflated)),
		.properties = encoded,
		.n_properties = LENGTH(encoded)};
	struct incoming *in = copy(&message, true);
	assert_int_equal(in->len, message.len);
	assert_memory_equal(in->payload, deflated, message.len);
	incoming_free(in);
}

static void test_answers_go_only_to_the_nodes_own_topic(void **state)
{
	(void)state;
	static const char *const elsewhere[] = {NULL, "", "ack/other/1", "ack/orangepi0",
		"ack/orangepi0/a/b", "cmd/orangepi0/relay/set", "ack/orangepi0/#"};
	for (size_t i = 0; i < LENGTH(elsewhere); i++) {
		struct dp_bus_message message = native_message();
		message.response_topic = elsewhere[i];
		struct incoming *in = copy(&message, false);
		assert_null(in->response_topic);
		assert_int_equal(in->correlation_len, 0);
		assert_int_equal(in->identity_error, 0);
		incoming_free(in);
	}
}

static void test_correlation_data_has_at_most_64_bytes(void **state)
{
	(void)state;
	char correlation[CORRELATION_MAX + 1];
	struct dp_bus_message message = native_message();
	memset(correlation, 'c', sizeof(correlation));
	message.correlation = correlation;
	message.correlation_len = CORRELATION_MAX;
	struct incoming *in = copy(&message, false);
	assert_int_equal(in->correlation_len, CORRELATION_MAX);
	assert_memory_equal(in->correlation, correlation, CORRELATION_MAX);
	incoming_free(in);
	message.correlation_len = CORRELATION_MAX + 1;
	in = copy(&message, false);
	assert_null(in->response_topic);
	incoming_free(in);
}

static void test_a_batch_without_correlation_data_can_be_answered(void **state)
{
	(void)state;
	struct dp_bus_message message = native_message();
	message.correlation = NULL;
	message.correlation_len = 0;
	struct incoming *in = copy(&message, false);
	assert_string_equal(in->response_topic, "ack/orangepi0/0123");
	assert_int_equal(in->correlation_len, 0);
	incoming_free(in);
}

static void test_a_batch_without_identity_says_what_is_wrong(void **state)
{
	(void)state;
	struct dp_bus_message message = native_message();
	message.n_properties = 2;
	struct incoming *in = copy(&message, false);
	assert_int_equal(in->identity_error, -EBADMSG);
	assert_non_null(in->identity_why);
	assert_non_null(in->response_topic);
	incoming_free(in);
}

static void test_a_batch_whose_topic_has_no_valid_node_cannot_be_stored(void **state)
{
	(void)state;
	static const char *const topics[] = {
		"/data/-/batch", "/data//batch", "/other/a/batch"};
	for (size_t i = 0; i < LENGTH(topics); i++) {
		struct dp_bus_message message = native_message();
		message.topic = topics[i];
		struct incoming *in = copy(&message, false);
		assert_int_equal(in->identity_error, -EBADMSG);
		assert_string_equal(in->identity_why, "the topic has no valid node name");
		assert_null(in->response_topic);
		incoming_free(in);
	}
}

static void test_a_batch_is_condensed_unless_it_will_be_buried(void **state)
{
	(void)state;
	static const char text[] =
		"[{\"bn\":\"a/\",\"bt\":1700000000.000000,\"n\":\"t\",\"v\":1}]";
	const struct dp_property one[] = {{"v", "1"}, {"stream", HEX}, {"first", "7"},
		{"count", "1"}, {"clock", "none"}, {"boot", "b"}, {"boottime", "1"}};
	struct dp_bus_message message = native_message();
	message.payload = text;
	message.len = strlen(text);
	message.properties = one;
	message.n_properties = 4;
	struct incoming *in = copy(&message, false);
	assert_true(in->condensed);
	assert_in_range(in->len, 1, message.len - 1);
	incoming_free(in);
	message.n_properties = LENGTH(one);
	in = copy(&message, false);
	assert_int_equal(in->identity_error, -EBADMSG);
	assert_false(in->condensed);
	assert_int_equal(in->len, strlen(text));
	assert_string_equal(in->payload, text);
	incoming_free(in);
}

static void test_a_batch_without_a_clock_is_for_a_nodes_own_broker_only(void **state)
{
	(void)state;
	struct dp_bus_message message = native_message();
	struct dp_property all[LENGTH(properties) + 3];
	memcpy(all, properties, sizeof(properties));
	all[LENGTH(properties)] = (struct dp_property){"clock", "none"};
	all[LENGTH(properties) + 1] = (struct dp_property){"boot", "b"};
	all[LENGTH(properties) + 2] = (struct dp_property){"boottime", "1"};
	message.properties = all;
	message.n_properties = LENGTH(all);
	struct incoming *in = copy(&message, false);
	assert_int_equal(in->identity_error, -EBADMSG);
	assert_non_null(strstr(in->identity_why, "clock none"));
	incoming_free(in);
	all[LENGTH(properties)].value = "guessed";
	in = copy(&message, false);
	assert_int_equal(in->identity_error, 0);
	incoming_free(in);
}

static void test_a_time_by_a_clock_that_is_worth_nothing_is_a_guess(void **state)
{
	(void)state;
	const struct dp_bus_message message = native_message();
	struct incoming *in =
		incoming_copy(&message, true, PREFIX, 1234, DP_CLOCK_NONE, &condenser);
	assert_non_null(in);
	assert_int_equal(in->clock, DP_CLOCK_GUESSED);
	incoming_free(in);
}

static void test_a_plain_message_has_no_identity_and_no_answer(void **state)
{
	(void)state;
	struct dp_bus_message message = native_message();
	message.topic = "/data/kitchen";
	message.payload = "";
	message.len = 0;
	struct incoming *in = copy(&message, true);
	assert_true(in->plain);
	assert_string_equal(in->topic, "/data/kitchen");
	assert_null(in->response_topic);
	assert_int_equal(in->identity.count, 0);
	assert_int_equal(in->len, 0);
	assert_string_equal(in->payload, "");
	incoming_free(in);
}

static void test_a_payload_may_hold_any_byte(void **state)
{
	(void)state;
	static const char payload[] = "a\0\xff\nb";
	struct dp_bus_message message = native_message();
	message.payload = payload;
	message.len = sizeof(payload);
	struct incoming *in = copy(&message, false);
	assert_int_equal(in->len, sizeof(payload));
	assert_memory_equal(in->payload, payload, sizeof(payload));
	incoming_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_is_copied_with_all_that_is_needed),
		cmocka_unit_test(test_an_encoded_batch_is_kept_as_if_it_were_not),
		cmocka_unit_test(test_what_cannot_be_inflated_is_kept_as_it_came),
		cmocka_unit_test(test_plain_messages_are_never_inflated),
		cmocka_unit_test(test_answers_go_only_to_the_nodes_own_topic),
		cmocka_unit_test(test_correlation_data_has_at_most_64_bytes),
		cmocka_unit_test(test_a_batch_without_correlation_data_can_be_answered),
		cmocka_unit_test(test_a_batch_without_identity_says_what_is_wrong),
		cmocka_unit_test(
			test_a_batch_whose_topic_has_no_valid_node_cannot_be_stored),
		cmocka_unit_test(test_a_batch_is_condensed_unless_it_will_be_buried),
		cmocka_unit_test(
			test_a_batch_without_a_clock_is_for_a_nodes_own_broker_only),
		cmocka_unit_test(test_a_time_by_a_clock_that_is_worth_nothing_is_a_guess),
		cmocka_unit_test(test_a_plain_message_has_no_identity_and_no_answer),
		cmocka_unit_test(test_a_payload_may_hold_any_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
