/* Which reading is shown, and how a state says it: services/publisher/last/shown.h. */
#include "publisher/last/shown.h"
#include "support.h"

#define NOW_US INT64_C(1900000000000000)
#define SECOND_US INT64_C(1000000)

/* Of that stream; two that differ in the last byte only begin alike. */
static struct shown shown_of(uint8_t first_byte, uint64_t seq, int64_t ts_us)
{
	return (struct shown){.stream = {.bytes = {first_byte, [15] = first_byte}},
		.stream_bytes = DP_STREAM_BYTES,
		.seq = seq,
		.ts_us = ts_us};
}

/* As another publisher reads back what this one has sent. */
static struct shown read_back(const struct shown *shown, bool brief)
{
	struct shown_text text;
	struct shown out = {.ts_us = shown->ts_us};
	shown_encode(shown, brief, &text);
	for (size_t i = 0; i < text.n; i++)
		shown_decode(&text.properties[i], &out);
	return out;
}

static void assert_newer(const struct shown *a, const struct shown *b)
{
	assert_true(shown_is_newer(a, b, NOW_US));
	assert_false(shown_is_newer(b, a, NOW_US));
}

static void test_both_forms_are_what_the_contract_says(void **state)
{
	(void)state;
	const struct shown shown = shown_of(0xa1, 4711, NOW_US);
	struct shown_text text;
	shown_encode(&shown, false, &text);
	assert_int_equal(text.n, 2);
	assert_string_equal(text.properties[0].name, "stream");
	assert_string_equal(text.properties[0].value, "a10000000000000000000000000000a1");
	assert_string_equal(text.properties[1].name, "first");
	assert_string_equal(text.properties[1].value, "4711");
	shown_encode(&shown, true, &text);
	assert_int_equal(text.n, 1);
	assert_string_equal(text.properties[0].name, "of");
	assert_string_equal(text.properties[0].value, "a1000000-4711");
}

static void test_of_one_stream_the_number_decides_in_either_form(void **state)
{
	(void)state;
	for (int form = 0; form < 2; form++) {
		/* The clock was an hour ahead when the older one was taken. */
		const struct shown older = shown_of(1, 7, NOW_US + 3600 * SECOND_US);
		const struct shown newer = shown_of(1, 8, NOW_US);
		const struct shown old_back = read_back(&older, form == 1);
		const struct shown new_back = read_back(&newer, form == 1);
		assert_newer(&newer, &old_back);
		assert_newer(&new_back, &older);
		assert_newer(&new_back, &old_back);
		assert_false(shown_is_newer(&newer, &new_back, NOW_US));
	}
}

static void test_of_two_streams_the_later_time_is(void **state)
{
	(void)state;
	for (int form = 0; form < 2; form++) {
		const struct shown earlier = shown_of(1, 900, NOW_US - SECOND_US);
		const struct shown later = shown_of(2, 1, NOW_US);
		const struct shown back = read_back(&earlier, form == 1);
		assert_newer(&later, &back);
		/* Unless its clock was ahead, or one has no time. */
		const struct shown ahead = shown_of(1, 900, NOW_US + 100 * SECOND_US);
		const struct shown ahead_back = read_back(&ahead, form == 1);
		assert_true(shown_is_newer(&later, &ahead_back, NOW_US));
		const struct shown timeless = shown_of(3, 1, 0);
		assert_true(shown_is_newer(&timeless, &back, NOW_US));
	}
}

static void test_what_is_known_in_part_is_said_in_part(void **state)
{
	(void)state;
	const struct shown shown = shown_of(1, 7, NOW_US);
	const struct shown once = read_back(&shown, true);
	const struct shown twice = read_back(&once, false);
	assert_int_equal(twice.stream_bytes, SHOWN_BYTES);
	assert_int_equal(twice.seq, 7);
	const struct shown newer = shown_of(1, 8, 1);
	assert_newer(&newer, &twice);
}

static void test_what_is_not_known_is_not_said(void **state)
{
	(void)state;
	const struct shown output = {.ts_us = NOW_US};
	struct shown_text text;
	shown_encode(&output, false, &text);
	assert_int_equal(text.n, 0);
	shown_encode(&output, true, &text);
	assert_int_equal(text.n, 0);
	/* Two without a stream are not of one stream. */
	const struct shown later = {.ts_us = NOW_US + 1};
	assert_newer(&later, &output);
}

static void test_the_largest_number_has_room(void **state)
{
	(void)state;
	const struct shown shown = shown_of(255, UINT64_MAX, 0);
	assert_true(read_back(&shown, true).seq == UINT64_MAX);
	assert_true(read_back(&shown, false).seq == UINT64_MAX);
}

static void test_what_is_malformed_changes_nothing(void **state)
{
	(void)state;
	static const struct dp_property wrong[] = {{"of", ""}, {"of", "a1000000"},
		{"of", "a1000000-"}, {"of", "a1000000-x"}, {"of", "a1000000-7 "},
		{"of", "a100000-7"}, {"of", "a10000000-7"}, {"of", "a1000000_7"},
		{"of", "A1000000-7"}, {"stream", "a1"},
		{"stream", "A1000000000000000000000000000000"}, {"first", "-1"},
		{"else", "a1000000-7"}};
	for (size_t i = 0; i < LENGTH(wrong); i++) {
		struct shown shown = shown_of(9, 5, NOW_US), before = shown;
		shown_decode(&wrong[i], &shown);
		assert_memory_equal(&shown, &before, sizeof(shown));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_forms_are_what_the_contract_says),
		cmocka_unit_test(test_of_one_stream_the_number_decides_in_either_form),
		cmocka_unit_test(test_of_two_streams_the_later_time_is),
		cmocka_unit_test(test_what_is_known_in_part_is_said_in_part),
		cmocka_unit_test(test_what_is_not_known_is_not_said),
		cmocka_unit_test(test_the_largest_number_has_room),
		cmocka_unit_test(test_what_is_malformed_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
