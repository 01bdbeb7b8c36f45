#include "ingest/answer.h"
#include "support.h"

#define HEX "00000000000000000000000000000000"

/* The bus of this program: it notes what is published. */
static char published[32][16384]; /* `topic correlation json` */
static unsigned n_published;
static int publish_result;

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	assert_null(bus);
	assert_true(n_published < LENGTH(published));
	if (message->len > 0)
		assert_string_equal(message->content_type, "application/json");
	else
		assert_null(message->content_type);
	assert_int_equal(message->qos, 0);
	assert_false(message->retain);
	int n = snprintf(published[n_published++], sizeof(published[0]), "%s %.*s %.*s",
		message->topic, (int)message->correlation_len,
		(const char *)message->correlation, (int)message->len,
		message->len > 0 ? (const char *)message->payload : "");
	assert_in_range(n, 1, sizeof(published[0]) - 1);
	return publish_result;
}

static const struct incoming a = {
	.response_topic = "ack/a/1", .correlation = "A", .correlation_len = 1};
static const struct incoming a_2 = {
	.response_topic = "ack/a/1", .correlation = "A2", .correlation_len = 2};
static const struct incoming b = {
	.response_topic = "ack/b/1", .correlation = "B", .correlation_len = 1};
static const struct incoming no_correlation = {.response_topic = "ack/a/1"};

static struct results results;

static void add(const struct incoming *about, enum dp_ack_kind kind, uint64_t first,
	const char *reason)
{
	const struct result result = {.about = about,
		.range = {.kind = kind, .first = first, .count = 1, .reason = reason}};
	assert_int_equal(results_add(&results, &result), 0);
}

static void answer(void)
{
	n_published = 0;
	answer_all(NULL, &results);
	assert_int_equal(results.n, 0);
}

static int setup(void **state)
{
	(void)state;
	results = (struct results){.n = 0};
	publish_result = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(results.at);
	return 0;
}

static void test_without_results_nothing_is_said(void **state)
{
	(void)state;
	answer();
	assert_int_equal(n_published, 0);
}

static void test_an_answer_about_one_message_echoes_its_correlation_data(void **state)
{
	(void)state;
	add(&a, DP_ACK_STORED, 1, NULL);
	add(&a, DP_ACK_REJECTED, 2, "why");
	answer();
	assert_int_equal(n_published, 1);
	assert_string_equal(published[0],
		"ack/a/1 A {\"stored\":[[\"" HEX "\",1,1]],\"rejected\":[[\"" HEX
		"\",2,1,\"why\"]]}");
}

static void test_messages_of_one_publisher_share_an_answer_without_correlation(void **state)
{
	(void)state;
	add(&a, DP_ACK_STORED, 1, NULL);
	add(&a_2, DP_ACK_STORED, 2, NULL);
	add(&no_correlation, DP_ACK_STORED, 4, NULL);
	answer();
	assert_int_equal(n_published, 1);
	assert_string_equal(published[0],
		"ack/a/1  {\"stored\":[[\"" HEX "\",1,2],[\"" HEX "\",4,1]]}");
}

/* Encoded messages of ten readings each, and one that is plain and offers to encode. */
#define ENCODED(n, name, at)                                                               \
	static const struct incoming n = {.response_topic = "ack/a/1",                     \
		.correlation = name,                                                       \
		.correlation_len = sizeof(name) - 1,                                       \
		.identity = {.first = at, .count = 10, .encoding = DP_ENCODING_DEFLATE}}
ENCODED(e_1, "E1", 1);
ENCODED(e_2, "E2", 11);
ENCODED(e_3, "E3", 21);
ENCODED(e_4, "E4", 31);
ENCODED(e_anonymous, "", 1);
static const struct incoming offering = {.response_topic = "ack/a/1",
	.correlation = "O",
	.correlation_len = 1,
	.identity = {.first = 1, .count = 10, .offer = DP_ENCODING_DEFLATE}};

static void add_count(const struct incoming *about, enum dp_ack_kind kind, uint64_t first,
	uint64_t count, const char *reason)
{
	const struct result result = {.about = about,
		.range = {.kind = kind, .first = first, .count = count, .reason = reason}};
	assert_int_equal(results_add(&results, &result), 0);
}

static void test_an_offer_is_taken(void **state)
{
	(void)state;
	add_count(&offering, DP_ACK_STORED, 1, 10, NULL);
	answer();
	assert_int_equal(n_published, 1);
	assert_string_equal(published[0],
		"ack/a/1 O {\"stored\":[[\"" HEX "\",1,10]],\"takes\":[\"deflate\"]}");
	/* Also beside others, and whatever became of it. */
	add(&a, DP_ACK_STORED, 20, NULL);
	add_count(&offering, DP_ACK_REJECTED, 1, 10, "why");
	answer();
	assert_non_null(strstr(published[0], "\"takes\":[\"deflate\"]"));
}

static void test_an_encoded_message_that_is_stored_is_answered_by_nothing(void **state)
{
	(void)state;
	add_count(&e_1, DP_ACK_STORED, 1, 10, NULL);
	add(&b, DP_ACK_STORED, 1, NULL);
	add_count(&e_1, DP_ACK_STORED, 1, 10, NULL);
	add_count(&e_2, DP_ACK_STORED, 11, 10, NULL);
	answer();
	assert_int_equal(n_published, 4);
	assert_string_equal(published[0], "ack/a/1 E1 ");
	assert_string_equal(published[2], "ack/a/1 E1 ");
	assert_string_equal(published[3], "ack/a/1 E2 ");
}

static void test_many_encoded_messages_share_an_answer_when_that_is_shorter(void **state)
{
	(void)state;
	static const struct incoming *const messages[] = {&e_1, &e_2, &e_3, &e_4};
	for (size_t i = 0; i < 12; i++)
		add_count(messages[i % 4], DP_ACK_STORED, messages[i % 4]->identity.first,
			10, NULL);
	answer();
	assert_in_range(n_published, 1, 11);
	assert_non_null(strchr(published[0], '{'));
}

static void test_an_encoded_message_is_answered_in_words_when_there_is_more_to_say(
	void **state)
{
	(void)state;
	add_count(&e_1, DP_ACK_STORED, 1, 9, NULL);
	add_count(&e_1, DP_ACK_REJECTED, 10, 1, "why");
	answer();
	assert_int_equal(n_published, 1);
	assert_string_equal(published[0],
		"ack/a/1 E1 {\"stored\":[[\"" HEX "\",1,9]],\"rejected\":[[\"" HEX
		"\",10,1,\"why\"]]}");
	static const struct {
		const struct incoming *about;
		enum dp_ack_kind kind;
	} cases[] = {{&e_1, DP_ACK_LATER}, {&e_1, DP_ACK_REJECTED},
		{&e_anonymous, DP_ACK_STORED}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		add_count(cases[i].about, cases[i].kind, 1, 10, "why");
		answer();
		assert_int_equal(n_published, 1);
		assert_non_null(strchr(published[0], '{'));
	}
	/* A plain one of the same publisher. */
	add_count(&e_1, DP_ACK_STORED, 1, 10, NULL);
	add_count(&a, DP_ACK_STORED, 20, 1, NULL);
	answer();
	assert_int_equal(n_published, 1);
	assert_non_null(strchr(published[0], '{'));
}

static void test_each_publisher_gets_an_answer_of_its_own(void **state)
{
	(void)state;
	add(&a, DP_ACK_STORED, 1, NULL);
	add(&b, DP_ACK_LATER, 2, "full");
	add(&a, DP_ACK_STORED, 3, NULL);
	answer();
	assert_int_equal(n_published, 3);
	assert_string_equal(published[0], "ack/a/1 A {\"stored\":[[\"" HEX "\",1,1]]}");
	assert_string_equal(
		published[1], "ack/b/1 B {\"later\":[[\"" HEX "\",2,1,\"full\"]]}");
	assert_string_equal(published[2], "ack/a/1 A {\"stored\":[[\"" HEX "\",3,1]]}");
}

static void test_a_message_without_readings_is_answered_by_itself(void **state)
{
	(void)state;
	const struct result heard = {.about = &a_2, .heard = true};
	add(&a, DP_ACK_STORED, 1, NULL);
	assert_int_equal(results_add(&results, &heard), 0);
	add(&a, DP_ACK_STORED, 2, NULL);
	answer();
	assert_int_equal(n_published, 3);
	assert_string_equal(published[0], "ack/a/1 A {\"stored\":[[\"" HEX "\",1,1]]}");
	assert_string_equal(published[1], "ack/a/1 A2 {}");
	assert_string_equal(published[2], "ack/a/1 A {\"stored\":[[\"" HEX "\",2,1]]}");
}

static void test_a_message_without_identity_is_answered_by_itself(void **state)
{
	(void)state;
	const struct result whole = {
		.about = &a_2, .whole = true, .range = {.reason = "no stream"}};
	add(&a, DP_ACK_STORED, 1, NULL);
	assert_int_equal(results_add(&results, &whole), 0);
	add(&a, DP_ACK_STORED, 2, NULL);
	answer();
	assert_int_equal(n_published, 3);
	assert_string_equal(published[0], "ack/a/1 A {\"stored\":[[\"" HEX "\",1,1]]}");
	assert_string_equal(published[1], "ack/a/1 A2 {\"error\":\"no stream\"}");
	assert_string_equal(published[2], "ack/a/1 A {\"stored\":[[\"" HEX "\",2,1]]}");
}

static void test_a_message_without_correlation_data_is_answered_without(void **state)
{
	(void)state;
	add(&no_correlation, DP_ACK_STORED, 1, NULL);
	answer();
	assert_string_equal(published[0], "ack/a/1  {\"stored\":[[\"" HEX "\",1,1]]}");
}

static unsigned ranges_heard;

static void on_range(void *data, const struct dp_ack_range *range)
{
	(void)data;
	assert_int_equal(range->first, 1 + 2 * (uint64_t)ranges_heard);
	ranges_heard++;
}

static void on_error(void *data, const char *reason)
{
	(void)data, (void)reason;
	fail();
}

static void test_many_ranges_are_spread_over_answers_and_none_is_left_out(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		add(i % 2 == 0 ? &a : &a_2, DP_ACK_STORED, 1 + 2 * i, NULL);
	ranges_heard = 0;
	answer();
	assert_in_range(n_published, 2, 20);
	for (unsigned i = 0; i < n_published; i++) {
		const char *json = strchr(published[i], '{');
		assert_non_null(json);
		assert_int_equal(
			dp_ack_decode(json, strlen(json), on_range, on_error, NULL), 0);
	}
	assert_int_equal(ranges_heard, 1000);
}

static void test_an_answer_that_does_not_get_through_is_not_kept(void **state)
{
	(void)state;
	char log[1024];
	struct capture capture;
	static const struct {
		int err;
		bool logged;
	} cases[] = {{-ENOTCONN, false}, {-EMSGSIZE, true}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		add(&a, DP_ACK_STORED, 1, NULL);
		add(&b, DP_ACK_STORED, 1, NULL);
		publish_result = cases[i].err;
		capture_begin(&capture, STDERR_FILENO);
		n_published = 0;
		answer_all(NULL, &results);
		capture_end(&capture, log, sizeof(log));
		assert_int_equal(n_published, 2);
		assert_int_equal(results.n, 0);
		assert_int_equal(strstr(log, "ack/a/1") != NULL, cases[i].logged);
	}
}

#define WITH_RESULTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RESULTS(test_without_results_nothing_is_said),
		WITH_RESULTS(test_an_answer_about_one_message_echoes_its_correlation_data),
		WITH_RESULTS(
			test_messages_of_one_publisher_share_an_answer_without_correlation),
		WITH_RESULTS(test_an_offer_is_taken),
		WITH_RESULTS(test_an_encoded_message_that_is_stored_is_answered_by_nothing),
		WITH_RESULTS(
			test_many_encoded_messages_share_an_answer_when_that_is_shorter),
		WITH_RESULTS(
			test_an_encoded_message_is_answered_in_words_when_there_is_more_to_say),
		WITH_RESULTS(test_each_publisher_gets_an_answer_of_its_own),
		WITH_RESULTS(test_a_message_without_readings_is_answered_by_itself),
		WITH_RESULTS(test_a_message_without_identity_is_answered_by_itself),
		WITH_RESULTS(test_a_message_without_correlation_data_is_answered_without),
		WITH_RESULTS(test_many_ranges_are_spread_over_answers_and_none_is_left_out),
		WITH_RESULTS(test_an_answer_that_does_not_get_through_is_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
