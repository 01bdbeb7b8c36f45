#include "publisher/streams/streams.h"
#include "support.h"

static const struct dp_stream_id id = {{1, 2, 3}};

static struct stream *make_stream(void)
{
	struct stream *stream = stream_create(&id, "orangepi0");
	assert_non_null(stream);
	return stream;
}

static struct live_reading reading(uint64_t seq)
{
	struct live_reading live = {.seq = seq, .json = malloc(10), .len = 10};
	assert_non_null(live.json);
	return live;
}

static void hold(struct stream *stream, uint64_t seq)
{
	const struct live_reading live = reading(seq);
	assert_int_equal(stream_add_live(stream, &live), 0);
}

static void hold_run(struct stream *stream, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++)
		hold(stream, seq);
}

static void add(struct dp_intervals *set, uint64_t first, uint64_t last)
{
	assert_int_equal(dp_intervals_add(set, first, last), 0);
}

static void assert_set(const struct dp_intervals *set, const char *expected)
{
	char text[256] = "";
	for (size_t i = 0; i < set->n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d-%d",
			i > 0 ? " " : "", (int)set->at[i].first, (int)set->at[i].last);
	assert_string_equal(text, expected);
}

/* The next live readings that are not in flight, in flight from now on: their numbers. */
static void sends(struct stream *stream, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		struct live_reading *live = stream_next_live(stream);
		assert_non_null(live);
		assert_int_equal(live->seq, seq);
		live->in_flight = true;
	}
}

/* @return how many live readings went */
static int answer(struct stream *stream, uint64_t first, uint64_t count)
{
	size_t n = stream->n_live, bytes = stream->live_bytes;
	assert_int_equal(stream_answer(stream, first, count), 0);
	n -= stream->n_live;
	assert_int_equal(bytes - stream->live_bytes, 10 * n);
	return (int)n;
}

static void test_a_new_stream_is_empty_and_knows_whose_it_is(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	assert_true(stream_empty(stream));
	assert_memory_equal(&stream->id, &id, sizeof(id));
	assert_string_equal(stream->node, "orangepi0");
	assert_null(stream_next_live(stream));
	assert_false(stream_holds(stream, 1));
	stream_destroy(stream);
	stream_destroy(NULL);
}

static void test_a_stream_is_found_by_its_id(void **state)
{
	(void)state;
	static const struct dp_stream_id other = {{1, 2, 4}};
	struct streams streams = {.n = 0};
	assert_null(streams_find(&streams, &id));
	struct stream *first = streams_add(&streams, &id, "n");
	assert_null(streams_find(&streams, &other));
	struct stream *second = streams_add(&streams, &other, "n");
	assert_ptr_equal(streams_find(&streams, &id), first);
	assert_ptr_equal(streams_find(&streams, &other), second);
	assert_ptr_equal(first->next, second);
	streams_clear(&streams);
	assert_null(streams.first);
}

static void test_the_longest_node_name_fits(void **state)
{
	(void)state;
	char name[DP_NAME_MAX + 1];
	memset(name, 'n', DP_NAME_MAX);
	name[DP_NAME_MAX] = '\0';
	struct stream *stream = stream_create(&id, name);
	assert_non_null(stream);
	assert_string_equal(stream->node, name);
	stream_destroy(stream);
}

static void test_a_reading_is_held_once_wherever_it_is(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold(stream, 5);
	add(&stream->spilling, 7, 7);
	add(&stream->stored, 9, 9);
	assert_false(stream_empty(stream));
	for (uint64_t seq = 5; seq <= 9; seq += 2) {
		struct live_reading again = reading(seq);
		assert_true(stream_holds(stream, seq));
		assert_int_equal(stream_add_live(stream, &again), -EEXIST);
		free(again.json);
	}
	assert_false(stream_holds(stream, 6));
	assert_int_equal(stream->n_live, 1);
	stream_destroy(stream);
}

static void test_readings_are_kept_and_sent_in_order_however_they_come(void **state)
{
	(void)state;
	static const uint64_t order[] = {5, 1, 9, 3, 2, 7, 8, 4, 6};
	struct stream *stream = make_stream();
	for (size_t i = 0; i < LENGTH(order); i++)
		hold(stream, order[i]);
	for (size_t i = 0; i < stream->n_live; i++)
		assert_int_equal(stream->live[i].seq, i + 1);
	sends(stream, 1, 9);
	assert_null(stream_next_live(stream));
	stream_destroy(stream);
}

static void test_a_reading_that_fills_a_gap_is_the_next_to_send(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold_run(stream, 1, 2);
	hold_run(stream, 4, 6);
	sends(stream, 1, 2);
	sends(stream, 4, 5);
	hold(stream, 3);
	sends(stream, 3, 3);
	sends(stream, 6, 6);
	stream_destroy(stream);
}

static void test_many_readings_are_held(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold_run(stream, 1, 1000);
	assert_int_equal(stream->n_live, 1000);
	assert_int_equal(answer(stream, 101, 800), 800);
	sends(stream, 1, 100);
	sends(stream, 901, 1000);
	stream_destroy(stream);
}

static void test_low_is_unknown_until_the_sampler_has_spoken(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	assert_int_equal(stream_low(stream), 0);
	hold(stream, 5);
	add(&stream->stored, 3, 3);
	assert_int_equal(stream_low(stream), 0);
	stream_destroy(stream);
}

static void test_low_is_the_oldest_that_anyone_up_to_here_holds(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	stream->heard_low = 50;
	assert_int_equal(stream_low(stream), 50);
	hold(stream, 60);
	assert_int_equal(stream_low(stream), 50);
	hold(stream, 40);
	assert_int_equal(stream_low(stream), 40);
	add(&stream->spilling, 30, 31);
	assert_int_equal(stream_low(stream), 30);
	add(&stream->stored, 20, 25);
	assert_int_equal(stream_low(stream), 20);
	/* What is answered is held no more, though it may still be in the file. */
	add(&stream->answered, 1, 10);
	add(&stream->accepted, 1, 10);
	assert_int_equal(stream_low(stream), 20);
	stream->heard_low = 2;
	assert_int_equal(stream_low(stream), 2);
	stream_destroy(stream);
}

static void test_a_stream_waits_while_its_oldest_reading_has_no_time(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	struct boot boot = {.mark = DP_CLOCK_NONE};
	assert_false(stream_waits(stream));
	hold_run(stream, 1, 5);
	assert_false(stream_waits(stream));
	stream->boot = &boot;
	stream->undated_to = 3;
	assert_true(stream_waits(stream));
	assert_int_equal(stream_mark(stream, DP_CLOCK_NONE), DP_CLOCK_NONE);
	boot.mark = DP_CLOCK_GUESSED;
	assert_false(stream_waits(stream));
	assert_int_equal(stream_mark(stream, DP_CLOCK_NONE), DP_CLOCK_GUESSED);
	assert_int_equal(stream_mark(stream, DP_CLOCK_SYNCED), DP_CLOCK_SYNCED);
	/* What follows has a time of its own. */
	boot.mark = DP_CLOCK_NONE;
	assert_int_equal(answer(stream, 1, 3), 3);
	assert_false(stream_waits(stream));
	add(&stream->stored, 2, 2);
	assert_true(stream_waits(stream));
	stream_destroy(stream);
}

static void test_answered_live_readings_go_and_are_to_be_accepted(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold_run(stream, 1, 10);
	sends(stream, 1, 10);
	assert_int_equal(answer(stream, 4, 3), 3);
	assert_int_equal(stream->n_live, 7);
	assert_false(stream_holds(stream, 4));
	assert_false(stream_holds(stream, 6));
	assert_true(stream_holds(stream, 3));
	assert_true(stream_holds(stream, 7));
	assert_set(&stream->accepted, "4-6");
	assert_set(&stream->answered, "");
	assert_int_equal(answer(stream, 1, 100), 7);
	assert_set(&stream->accepted, "1-10");
	stream_destroy(stream);
}

static void test_settling_again_does_nothing(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold_run(stream, 1, 3);
	assert_int_equal(answer(stream, 1, 3), 3);
	dp_intervals_clear(&stream->accepted);
	assert_int_equal(answer(stream, 1, 3), 0);
	assert_int_equal(answer(stream, 100, UINT64_C(1) << 53), 0);
	assert_true(stream_empty(stream));
	stream_destroy(stream);
}

static void test_answered_readings_of_the_outbox_are_to_be_removed(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	add(&stream->stored, 1, 10);
	add(&stream->stored, 20, 30);
	assert_int_equal(answer(stream, 8, 15), 0);
	assert_set(&stream->stored, "1-7 23-30");
	assert_set(&stream->answered, "8-10 20-22");
	/* The sampler has heard of them when they were stored. */
	assert_set(&stream->accepted, "");
	assert_false(stream_holds(stream, 8));
	stream_destroy(stream);
}

static void test_what_is_answered_while_it_is_written_is_to_be_accepted(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	add(&stream->spilling, 5, 9);
	assert_int_equal(answer(stream, 1, 6), 0);
	assert_set(&stream->spilling, "7-9");
	assert_set(&stream->accepted, "5-6");
	assert_set(&stream->answered, "");
	stream_destroy(stream);
}

static void test_one_answer_may_cover_memory_and_outbox(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	add(&stream->stored, 1, 3);
	add(&stream->spilling, 4, 6);
	hold_run(stream, 7, 9);
	assert_int_equal(answer(stream, 1, 9), 3);
	assert_set(&stream->accepted, "4-9");
	assert_set(&stream->answered, "1-3");
	dp_intervals_clear(&stream->accepted);
	assert_false(stream_empty(stream));
	dp_intervals_clear(&stream->answered);
	assert_true(stream_empty(stream));
	stream_destroy(stream);
}

static void test_a_flight_that_comes_back_is_sent_again(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold_run(stream, 1, 10);
	sends(stream, 1, 10);
	answer(stream, 4, 2);
	stream_unsend(stream, 3, 4);
	sends(stream, 3, 3);
	sends(stream, 6, 6);
	assert_null(stream_next_live(stream));
	stream_destroy(stream);
}

static void test_without_a_connection_everything_is_to_be_sent_again(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	hold_run(stream, 3, 6);
	sends(stream, 3, 6);
	stream_unsend_all(stream);
	sends(stream, 3, 6);
	assert_null(stream_next_live(stream));
	stream_destroy(stream);
}

/* ---- into the outbox and out of it ---- */

struct spilt {
	uint64_t below;
	struct live_reading readings[10];
	size_t n;
};

static bool goes(void *data, struct stream *stream, const struct live_reading *live)
{
	struct spilt *spilt = data;
	assert_memory_equal(&stream->id, &id, sizeof(id));
	if (live->seq >= spilt->below)
		return false;
	spilt->readings[spilt->n++] = *live;
	return true;
}

/* Numbers 1 to 5, of which those up to 3 are spilling. */
static struct stream *spill(struct spilt *spilt)
{
	struct stream *stream = make_stream();
	*spilt = (struct spilt){.below = 4};
	hold_run(stream, 1, 5);
	assert_int_equal(stream_spill(stream, goes, spilt), 0);
	assert_set(&stream->spilling, "1-3");
	assert_int_equal(stream->n_live, 2);
	assert_int_equal(stream->live_bytes, 20);
	assert_true(stream_holds(stream, 3));
	return stream;
}

static void test_what_is_written_is_stored_and_accepted(void **state)
{
	struct spilt spilt;
	struct stream *stream = spill(&spilt);
	(void)state;
	/* 2 is answered while it is being written; 1 was before, and came again. */
	add(&stream->answered, 1, 1);
	assert_int_equal(answer(stream, 2, 1), 0);
	assert_set(&stream->accepted, "2-2");
	for (uint64_t seq = 1; seq <= 3; seq++) {
		assert_int_equal(stream_spilled(stream, seq), 0);
		free(spilt.readings[seq - 1].json);
	}
	assert_set(&stream->spilling, "");
	assert_set(&stream->stored, "1-1 3-3");
	assert_set(&stream->answered, "2-2");
	assert_set(&stream->accepted, "1-3");
	assert_int_equal(stream_accept_told(stream, 2), 0);
	assert_set(&stream->accepted, "3-3");
	stream_destroy(stream);
}

static void test_what_is_not_written_is_live_again_unless_it_is_answered(void **state)
{
	struct spilt spilt;
	struct stream *stream = spill(&spilt);
	(void)state;
	assert_int_equal(answer(stream, 2, 1), 0);
	assert_int_equal(stream_not_spilled(stream, &spilt.readings[0]), 0);
	assert_int_equal(stream_not_spilled(stream, &spilt.readings[1]), -ENOENT);
	assert_int_equal(stream_not_spilled(stream, &spilt.readings[2]), 0);
	free(spilt.readings[1].json);
	assert_int_equal(stream->n_live, 4);
	assert_int_equal(stream->live_bytes, 40);
	assert_int_equal(stream->live[1].seq, 3);
	stream_destroy(stream);
}

static void test_what_is_given_up_is_removed_and_the_centre_hears_of_it(void **state)
{
	struct stream *stream = make_stream();
	(void)state;
	stream->heard_low = 1;
	add(&stream->stored, 1, 5);
	assert_int_equal(stream_give_up(stream, 1, 2), 0);
	assert_set(&stream->answered, "1-2");
	assert_true(stream->low_due); /* said once nothing is left of it */
	assert_int_equal(stream_give_up(stream, 3, 5), 0);
	assert_true(stream->low_due);
	stream_begin_remove(stream);
	assert_set(&stream->answered, "");
	assert_int_equal(stream_not_removed(stream, &(struct dp_interval){1, 5}), 0);
	assert_set(&stream->answered, "1-5");
	stream_destroy(stream);
}

static void test_what_only_the_outbox_had_is_lost_with_it(void **state)
{
	struct stream *stream = make_stream();
	(void)state;
	hold(stream, 9);
	add(&stream->stored, 1, 5);
	stream->heard_low = 1;
	stream->outbox.row = stream->outbox.boot_row = 1;
	stream->outbox.low_written = true;
	stream_lose_outbox(stream);
	assert_true(stream->low_due && !stream->outbox.low_written);
	assert_int_equal(stream->outbox.row + stream->outbox.boot_row, 0);
	assert_false(stream_holds(stream, 5));
	assert_true(stream_holds(stream, 9));
	stream_destroy(stream);
}

static void test_a_sampler_that_never_lets_answers_take_time_is_told_once(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	stream_hear(stream, 1000, true);
	stream_hear(stream, 60999, true);
	assert_false(stream_is_hasty(stream, 60999));
	stream_hear(stream, 61000, true);
	assert_true(stream_is_hasty(stream, 61000));
	assert_false(stream_is_hasty(stream, 61000));
	stream_destroy(stream);
}

/* Its ring is full: it was patient before. */
static void test_a_sampler_in_need_is_not_hasty(void **state)
{
	(void)state;
	struct stream *stream = make_stream();
	stream_hear(stream, 1000, false);
	stream_hear(stream, 2000, true);
	stream_hear(stream, 200000, true);
	assert_false(stream_is_hasty(stream, 200000));
	stream_destroy(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_stream_is_empty_and_knows_whose_it_is),
		cmocka_unit_test(test_a_stream_is_found_by_its_id),
		cmocka_unit_test(test_the_longest_node_name_fits),
		cmocka_unit_test(test_a_reading_is_held_once_wherever_it_is),
		cmocka_unit_test(
			test_readings_are_kept_and_sent_in_order_however_they_come),
		cmocka_unit_test(test_a_reading_that_fills_a_gap_is_the_next_to_send),
		cmocka_unit_test(test_many_readings_are_held),
		cmocka_unit_test(test_low_is_unknown_until_the_sampler_has_spoken),
		cmocka_unit_test(test_low_is_the_oldest_that_anyone_up_to_here_holds),
		cmocka_unit_test(test_a_stream_waits_while_its_oldest_reading_has_no_time),
		cmocka_unit_test(test_answered_live_readings_go_and_are_to_be_accepted),
		cmocka_unit_test(test_settling_again_does_nothing),
		cmocka_unit_test(test_answered_readings_of_the_outbox_are_to_be_removed),
		cmocka_unit_test(
			test_what_is_answered_while_it_is_written_is_to_be_accepted),
		cmocka_unit_test(test_one_answer_may_cover_memory_and_outbox),
		cmocka_unit_test(test_a_flight_that_comes_back_is_sent_again),
		cmocka_unit_test(test_without_a_connection_everything_is_to_be_sent_again),
		cmocka_unit_test(test_what_is_written_is_stored_and_accepted),
		cmocka_unit_test(
			test_what_is_not_written_is_live_again_unless_it_is_answered),
		cmocka_unit_test(
			test_what_is_given_up_is_removed_and_the_centre_hears_of_it),
		cmocka_unit_test(test_what_only_the_outbox_had_is_lost_with_it),
		cmocka_unit_test(
			test_a_sampler_that_never_lets_answers_take_time_is_told_once),
		cmocka_unit_test(test_a_sampler_in_need_is_not_hasty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
