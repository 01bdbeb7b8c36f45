#include "ack.h"
#include "support.h"

#define HEX "000102030405060708090a0b0c0d0e0f"
#define HEX_2 "ffffffffffffffffffffffffffffffff"
#define RANGES_MAX 2000

static const struct dp_stream_id stream = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
static const struct dp_stream_id stream_2 = {
	{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

/* What an answer says. */
struct heard {
	struct dp_ack_range ranges[RANGES_MAX];
	char reasons[RANGES_MAX][128];
	size_t n, errors;
	char error[128];
};

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct heard *heard = data;
	assert_true(heard->n < RANGES_MAX);
	heard->ranges[heard->n] = *range;
	snprintf(heard->reasons[heard->n], sizeof(heard->reasons[0]), "%s", range->reason);
	heard->n++;
}

static void on_error(void *data, const char *reason)
{
	struct heard *heard = data;
	heard->errors++;
	snprintf(heard->error, sizeof(heard->error), "%s", reason);
}

static int decode(const char *json, size_t len, struct heard *heard)
{
	heard->n = heard->errors = 0;
	return dp_ack_decode(json, len, on_range, on_error, heard);
}

static struct heard heard; /* too large for the stack */

static void test_an_answer_is_written_as_the_contract_says(void **state)
{
	(void)state;
	const struct dp_ack_range ranges[] = {
		{DP_ACK_LATER, stream_2, 5, 1, "no room"},
		{DP_ACK_STORED, stream, 1, 10, NULL},
		{DP_ACK_REJECTED, stream, 11, 2, "not valid JSON"},
		{DP_ACK_STORED, stream_2, DP_SEQ_MAX, 1, NULL},
	};
	char *json;
	size_t len;
	assert_int_equal(dp_ack_encode(ranges, 4, &json, &len), 0);
	assert_string_equal(json,
		"{\"stored\":[[\"" HEX "\",1,10],[\"" HEX_2 "\",9007199254740992,1]],"
		"\"rejected\":[[\"" HEX "\",11,2,\"not valid JSON\"]],"
		"\"later\":[[\"" HEX_2 "\",5,1,\"no room\"]]}");
	assert_int_equal(len, strlen(json));
	free(json);
}

static void test_an_answer_about_nothing_is_an_empty_object(void **state)
{
	(void)state;
	char *json;
	size_t len;
	assert_int_equal(dp_ack_encode(NULL, 0, &json, &len), 0);
	assert_string_equal(json, "{}");
	assert_int_equal(decode(json, len, &heard), 0);
	assert_int_equal(heard.n + heard.errors, 0);
	free(json);
}

static void test_an_answer_names_the_encoding_that_is_taken(void **state)
{
	(void)state;
	const struct dp_ack_range range = {DP_ACK_STORED, stream, 1, 10, NULL};
	char *json;
	size_t len;
	assert_int_equal(
		dp_ack_encode_takes(&range, 1, DP_ENCODING_DEFLATE, &json, &len), 0);
	assert_string_equal(
		json, "{\"stored\":[[\"" HEX "\",1,10]],\"takes\":[\"deflate\"]}");
	assert_true(dp_ack_takes(json, len, DP_ENCODING_DEFLATE));
	/* Who does not know it reads the rest. */
	assert_int_equal(decode(json, len, &heard), 0);
	assert_int_equal(heard.n, 1);
	free(json);
	assert_int_equal(dp_ack_encode_takes(NULL, 0, DP_ENCODING_DEFLATE, &json, &len), 0);
	assert_string_equal(json, "{\"takes\":[\"deflate\"]}");
	free(json);
}

static void test_what_does_not_name_an_encoding_does_not_take_it(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		bool takes;
	} cases[] = {{"", false}, {"{", false}, {"[]", false}, {"{}", false},
		{"{\"takes\":\"deflate\"}", false}, {"{\"takes\":{\"deflate\":1}}", false},
		{"{\"takes\":[]}", false},
		{"{\"takes\":[\"deflat\",\"deflate2\",1]}", false},
		{"{\"takes\":[\"br\",\"deflate\"]}", true}};
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(dp_ack_takes(cases[i].json, strlen(cases[i].json),
					 DP_ENCODING_DEFLATE),
			cases[i].takes);
}

static void test_what_is_written_is_read_back(void **state)
{
	(void)state;
	static struct dp_ack_range ranges[RANGES_MAX];
	uint64_t random = 7;
	char *json;
	size_t len;
	for (size_t i = 0; i < RANGES_MAX; i++) {
		/* By kind, as an answer is sorted. */
		ranges[i] = (struct dp_ack_range){
			.kind = (enum dp_ack_kind)(i * DP_ACK_KINDS / RANGES_MAX),
			.stream = i % 2 == 0 ? stream : stream_2,
			.first = 1 + random_below(&random, DP_SEQ_MAX),
			.count = 1 + random_below(&random, DP_SEQ_MAX),
			.reason = "a reason",
		};
	}
	assert_int_equal(dp_ack_encode(ranges, RANGES_MAX, &json, &len), 0);
	assert_int_equal(decode(json, len, &heard), 0);
	free(json);
	assert_int_equal(heard.n, RANGES_MAX);
	assert_int_equal(heard.errors, 0);
	for (size_t i = 0; i < RANGES_MAX; i++) {
		assert_int_equal(heard.ranges[i].kind, ranges[i].kind);
		assert_memory_equal(
			&heard.ranges[i].stream, &ranges[i].stream, DP_STREAM_BYTES);
		assert_true(heard.ranges[i].first == ranges[i].first);
		assert_true(heard.ranges[i].count == ranges[i].count);
		assert_string_equal(heard.reasons[i],
			ranges[i].kind == DP_ACK_STORED ? "" : "a reason");
	}
}

static void test_an_overlong_reason_is_cut_and_the_answer_stays_readable(void **state)
{
	(void)state;
	char reason[1000];
	memset(reason, 'r', sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	const struct dp_ack_range range = {
		DP_ACK_REJECTED, stream_2, DP_SEQ_MAX, DP_SEQ_MAX, reason};
	char *json;
	size_t len;
	assert_int_equal(dp_ack_encode(&range, 1, &json, &len), 0);
	assert_int_equal(decode(json, len, &heard), 0);
	assert_int_equal(heard.n, 1);
	assert_int_equal(strlen(heard.reasons[0]), 120);
	free(json);

	assert_int_equal(dp_ack_encode_error(reason, &json, &len), 0);
	assert_int_equal(len, strlen(json));
	assert_int_equal(decode(json, len, &heard), 0);
	assert_int_equal(strlen(heard.error), 120);
	free(json);
}

static void test_an_answer_about_the_whole_message_has_a_reason_only(void **state)
{
	(void)state;
	char *json;
	size_t len;
	assert_int_equal(dp_ack_encode_error("stream property is missing", &json, &len), 0);
	assert_string_equal(json, "{\"error\":\"stream property is missing\"}");
	assert_int_equal(decode(json, len, &heard), 0);
	assert_int_equal(heard.n, 0);
	assert_int_equal(heard.errors, 1);
	assert_string_equal(heard.error, "stream property is missing");
	free(json);
}

static void test_unknown_members_are_ignored(void **state)
{
	(void)state;
	static const char json[] = " {\"colour\":[1],\"stored\":[[\"" HEX
				   "\",1,2,\"spare\",{}]],\"count\":3} ";
	assert_int_equal(decode(json, strlen(json), &heard), 0);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.ranges[0].count, 2);
}

static void test_a_missing_reason_is_empty(void **state)
{
	(void)state;
	static const char json[] = "{\"later\":[[\"" HEX "\",1,2],[\"" HEX "\",3,4,5]]}";
	assert_int_equal(decode(json, strlen(json), &heard), 0);
	assert_int_equal(heard.n, 2);
	assert_string_equal(heard.reasons[0], "");
	assert_string_equal(heard.reasons[1], "");
}

static void test_what_is_no_answer_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"stored",
		"[]",
		"null",
		"3",
		"{\"stored\":[[\"" HEX "\",1,2]]",
		"{\"stored\":[[\"" HEX "\",1,2]]} more",
		"{\"stored\":[7]}",
		"{\"stored\":[[]]}",
		"{\"stored\":[[\"" HEX "\"]]}",
		"{\"stored\":[[\"" HEX "\",1]]}",
		"{\"stored\":[[1,1,2]]}",
		"{\"stored\":[[\"" HEX "\",\"1\",2]]}",
		"{\"stored\":[[\"" HEX "\",1.5,2]]}",
		"{\"stored\":[[\"" HEX "\",-1,2]]}",
		"{\"stored\":[[\"" HEX "\",0,2]]}",
		"{\"stored\":[[\"" HEX "\",1,0]]}",
		"{\"stored\":[[\"" HEX "\",9007199254740993,1]]}",
		"{\"stored\":[[\"" HEX "\",1,9007199254740993]]}",
		"{\"stored\":[[\"" HEX "\",1,18446744073709551615]]}",
		"{\"stored\":[[\"00\",1,2]]}",
		"{\"stored\":[[\"" HEX "00\",1,2]]}",
		"{\"rejected\":[[\"000102030405060708090A0B0C0D0E0F\",1,2,\"r\"]]}",
		"{\"later\":[{\"stream\":\"" HEX "\"}]}",
		"{\"error\":\"\xff\"}",
	};
	for (size_t i = 0; i < LENGTH(texts); i++) {
		assert_int_equal(decode(texts[i], strlen(texts[i]), &heard), -EBADMSG);
		assert_int_equal(heard.n, 0);
	}
}

static void test_ranges_before_a_malformed_one_are_passed_on(void **state)
{
	(void)state;
	static const char json[] =
		"{\"stored\":[[\"" HEX "\",1,2],[\"" HEX "\",0,2],[\"" HEX
		"\",5,2]],\"later\":[[\"" HEX "\",9,1]]}";
	assert_int_equal(decode(json, strlen(json), &heard), -EBADMSG);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.ranges[0].first, 1);
}

static void test_the_length_counts_and_not_a_final_nul(void **state)
{
	(void)state;
	/* Exactly the bytes of the payload: what is behind them may not be read. */
	static const char json[] = "{\"stored\":[[\"" HEX "\",1,2]]}";
	char *bytes = malloc(strlen(json));
	assert_non_null(bytes);
	memcpy(bytes, json, strlen(json));
	assert_int_equal(decode(bytes, strlen(json), &heard), 0);
	assert_int_equal(heard.n, 1);
	for (size_t len = 0; len < strlen(json); len++)
		assert_int_equal(decode(bytes, len, &heard), -EBADMSG);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_is_written_as_the_contract_says),
		cmocka_unit_test(test_an_answer_about_nothing_is_an_empty_object),
		cmocka_unit_test(test_an_answer_names_the_encoding_that_is_taken),
		cmocka_unit_test(test_what_does_not_name_an_encoding_does_not_take_it),
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(
			test_an_overlong_reason_is_cut_and_the_answer_stays_readable),
		cmocka_unit_test(test_an_answer_about_the_whole_message_has_a_reason_only),
		cmocka_unit_test(test_unknown_members_are_ignored),
		cmocka_unit_test(test_a_missing_reason_is_empty),
		cmocka_unit_test(test_what_is_no_answer_is_refused),
		cmocka_unit_test(test_ranges_before_a_malformed_one_are_passed_on),
		cmocka_unit_test(test_the_length_counts_and_not_a_final_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
