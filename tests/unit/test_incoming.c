#include "ingest/incoming.h"
#include "support.h"

#define HEX "000102030405060708090a0b0c0d0e0f"
#define PREFIX "/data"

static const struct dp_property properties[] = {
	{"v", "1"}, {"stream", HEX}, {"first", "7"}, {"count", "3"}};

static struct dp_bus_message native_message(void)
{
	return (struct dp_bus_message){
		.topic = "/data/orangepi0/batch",
		.payload = "[1,2]",
		.len = 5,
		.response_topic = "ack/orangepi0/0123",
		.correlation = "42",
		.correlation_len = 2,
		.properties = properties,
		.n_properties = LENGTH(properties),
	};
}

static struct condenser condenser = {.most = 4096};

static struct incoming *copy(const struct dp_bus_message *message, bool plain)
{
	struct incoming *in =
		incoming_copy(message, plain, PREFIX, 1234, DP_CLOCK_UNSYNCED, &condenser);
	assert_non_null(in);
	return in;
}

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

static void test_a_list_is_freed_as_a_whole(void **state)
{
	(void)state;
	const struct dp_bus_message message = native_message();
	struct incoming *list = NULL;
	for (int i = 0; i < 10; i++) {
		struct incoming *in = copy(&message, i % 2 == 0);
		in->next = list;
		list = in;
	}
	incoming_free(list);
	incoming_free(NULL);
}

/* The queue's messages in order: p plain, n native; its bytes are theirs. */
static void assert_queue(const struct queue *queue, const char *expected)
{
	char text[64];
	size_t n = 0, bytes = 0;
	for (const struct incoming *in = queue->first; in != NULL; in = in->next) {
		assert_true(n < sizeof(text) - 1);
		text[n++] = in->plain ? 'p' : 'n';
		bytes += incoming_size(in);
	}
	text[n] = '\0';
	assert_string_equal(text, expected);
	assert_int_equal(queue->bytes, bytes);
	assert_null(*queue->end);
}

static void add_all(struct queue *queue, const char *kinds)
{
	const struct dp_bus_message message = native_message();
	for (; *kinds != '\0'; kinds++)
		queue_add(queue, copy(&message, *kinds == 'p'));
}

static void test_a_queue_keeps_its_order_and_counts_its_bytes(void **state)
{
	(void)state;
	struct queue queue;
	queue_init(&queue);
	assert_queue(&queue, "");
	add_all(&queue, "npn");
	assert_queue(&queue, "npn");
	add_all(&queue, "p");
	assert_queue(&queue, "npnp");
	incoming_free(queue.first);
}

static void test_a_queue_is_moved_up_to_a_size(void **state)
{
	(void)state;
	struct queue from, to;
	queue_init(&from);
	queue_move(&from, &to, SIZE_MAX);
	assert_queue(&to, "");
	add_all(&to, "n");
	assert_queue(&to, "n");
	incoming_free(to.first);
	add_all(&from, "pn");
	queue_move(&from, &to, SIZE_MAX);
	assert_queue(&from, "");
	assert_queue(&to, "pn");
	/* Both go on by themselves. */
	add_all(&from, "p");
	add_all(&to, "n");
	assert_queue(&from, "p");
	assert_queue(&to, "pnn");
	incoming_free(to.first);
	incoming_free(from.first);
	queue_init(&from);
	add_all(&from, "nnn");
	size_t one = incoming_size(from.first);
	queue_move(&from, &to, one);
	assert_queue(&to, "n");
	assert_queue(&from, "nn");
	incoming_free(to.first);
	queue_move(&from, &to, one + 1);
	assert_queue(&to, "nn");
	assert_queue(&from, "");
	add_all(&from, "p");
	assert_queue(&from, "p");
	assert_queue(&to, "nn");
	incoming_free(from.first);
	incoming_free(to.first);
}

static void test_a_queue_is_cut_by_number(void **state)
{
	(void)state;
	for (size_t n = 0; n < 6; n++) {
		struct queue queue, rest;
		queue_init(&queue);
		queue_init(&rest);
		add_all(&queue, "pnpnn");
		queue_cut(&queue, n, &rest);
		assert_int_equal(queue.n, n < 5 ? n : 5);
		assert_int_equal(rest.n, n < 5 ? 5 - n : 0);
		/* Together again they are in their order. */
		add_all(&rest, "p");
		queue_prepend(&rest, &queue);
		assert_queue(&rest, "pnpnnp");
		incoming_free(rest.first);
	}
}

static void test_a_message_is_refused_twice_at_most(void **state)
{
	(void)state;
	struct queue queue;
	queue_init(&queue);
	add_all(&queue, "p");
	struct incoming *in = queue.first;
	/* Somebody has cut the words in the middle of a character. */
	assert_true(incoming_refuse(in, "trop chaud: 50 \xc2\xb0\xc2"));
	assert_int_equal(in->refusals, 1);
	assert_string_equal(in->refused, REFUSED ": trop chaud: 50 \xc2\xb0");
	assert_true(incoming_refuse(in, "something else"));
	assert_int_equal(in->refusals, REFUSALS_MAX);
	assert_string_equal(in->refused, REFUSED ": trop chaud: 50 \xc2\xb0");
	assert_false(incoming_refuse(in, "again"));
	assert_int_equal(in->refusals, REFUSALS_MAX);
	queue_forget_plain(&queue);
	assert_queue(&queue, "");
}

static void test_plain_messages_are_forgotten_and_batches_kept(void **state)
{
	(void)state;
	static const char *const cases[][2] = {{"", ""}, {"p", ""}, {"n", "n"}, {"ppp", ""},
		{"pnp", "n"}, {"npn", "nn"}, {"nnp", "nn"}, {"pnnppn", "nnn"}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct queue queue;
		char after[16];
		queue_init(&queue);
		add_all(&queue, cases[i][0]);
		queue_forget_plain(&queue);
		assert_queue(&queue, cases[i][1]);
		/* What comes then is behind what was kept. */
		add_all(&queue, "p");
		snprintf(after, sizeof(after), "%sp", cases[i][1]);
		assert_queue(&queue, after);
		incoming_free(queue.first);
	}
}

static void test_results_are_kept_in_order(void **state)
{
	(void)state;
	struct results results = {.n = 0};
	for (uint64_t i = 0; i < 1000; i++) {
		const struct result result = {.range = {.first = i + 1}};
		assert_int_equal(results_add(&results, &result), 0);
	}
	assert_int_equal(results.n, 1000);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(results.at[i].range.first, i + 1);
	free(results.at);
}

static struct incoming *numbered(const char *stream, const char *first, bool plain)
{
	const struct dp_property of[] = {
		{"v", "1"}, {"stream", stream}, {"first", first}, {"count", "1"}};
	struct dp_bus_message message = native_message();
	message.properties = of;
	return copy(&message, plain);
}

/* A queue's messages in the order they stand: a letter for the stream, its number. */
static void test_messages_of_a_stream_are_brought_together_in_order(void **state)
{
	(void)state;
	static const char a[] = "a0000000000000000000000000000000";
	static const char b[] = "b0000000000000000000000000000000";
	static const struct {
		const char *stream, *first;
	} came[] = {{b, "9"}, {a, "5"}, {b, "3"}, {NULL, "1"}, {a, "4"}, {a, "6"}, {b, "1"},
		{NULL, "2"}, {a, "5"}};
	static const struct {
		uint8_t stream; /* 0: a plain message */
		uint64_t first;
	} stand[] = {{0xa0, 5}, {0xa0, 4}, {0xa0, 6}, {0xa0, 5}, {0xb0, 9}, {0xb0, 3},
		{0xb0, 1}, {0, 0}, {0, 0}};
	struct queue queue;
	queue_init(&queue);
	queue_group(&queue);
	assert_ptr_equal(queue.end, &queue.first);
	const struct incoming *plain[2];
	size_t n_plain = 0, i = 0;
	for (i = 0; i < LENGTH(came); i++) {
		struct incoming *in = numbered(came[i].stream != NULL ? came[i].stream : a,
			came[i].first, came[i].stream == NULL);
		if (in->plain)
			plain[n_plain++] = in;
		queue_add(&queue, in);
	}
	size_t bytes = queue.bytes;
	queue_group(&queue);
	assert_int_equal(queue.bytes, bytes);
	i = 0;
	for (const struct incoming *in = queue.first; in != NULL; in = in->next, i++) {
		assert_in_range(i, 0, LENGTH(stand) - 1);
		assert_int_equal(in->identity.stream.bytes[0], stand[i].stream);
		assert_int_equal(in->identity.first, stand[i].first);
		if (in->plain)
			assert_ptr_equal(in, plain[i - 7]);
	}
	assert_int_equal(i, LENGTH(stand));
	queue_add(&queue, numbered(a, "7", false));
	assert_null((*queue.end));
	incoming_free(queue.first);
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
		cmocka_unit_test(test_a_list_is_freed_as_a_whole),
		cmocka_unit_test(test_a_queue_keeps_its_order_and_counts_its_bytes),
		cmocka_unit_test(test_a_queue_is_moved_up_to_a_size),
		cmocka_unit_test(test_a_queue_is_cut_by_number),
		cmocka_unit_test(test_a_message_is_refused_twice_at_most),
		cmocka_unit_test(test_plain_messages_are_forgotten_and_batches_kept),
		cmocka_unit_test(test_messages_of_a_stream_are_brought_together_in_order),
		cmocka_unit_test(test_results_are_kept_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
