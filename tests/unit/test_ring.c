#include "sampler/ring.h"
#include "support.h"

#include <stdbool.h>

/* Add the next reading; for it this one is dropped, 0 for none. */
static void push(struct ring *ring, uint64_t dropped)
{
	const struct ring_item item = {.json = malloc(1),
		.len = 1,
		.sensor = (uint16_t)ring->next,
		.state = RING_ACCEPTED};
	assert_non_null(item.json);
	uint64_t oldest = ring->low;
	unsigned n = ring_push(ring, &item);
	assert_in_range(n, 0, 1);
	assert_int_equal(n > 0 ? oldest : 0, dropped);
}

static void fill(struct ring *ring, size_t size, unsigned n)
{
	assert_int_equal(ring_init(ring, size), 0);
	for (unsigned i = 0; i < n; i++)
		push(ring, 0);
}

/* The next one to send is this one, with its own content. */
static void sends(struct ring *ring, uint64_t expected)
{
	uint64_t seq = 0;
	const struct ring_item *item = ring_send(ring, &seq);
	assert_non_null(item);
	assert_int_equal(seq, expected);
	assert_int_equal(item->sensor, expected);
	assert_non_null(item->json);
}

static void sends_nothing(struct ring *ring)
{
	uint64_t seq = 77;
	assert_null(ring_send(ring, &seq));
	assert_int_equal(seq, 77);
}

static void test_numbers_begin_at_one_and_readings_leave_in_order(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 4, 0);
	assert_null(ring_oldest(&ring));
	assert_int_equal(ring.low, 1);
	assert_int_equal(ring.next, 1);
	sends_nothing(&ring);
	push(&ring, 0);
	push(&ring, 0);
	assert_int_equal(ring_oldest(&ring)->sensor, 1);
	sends(&ring, 1);
	sends(&ring, 2);
	assert_int_equal(ring.in_flight, 2);
	sends_nothing(&ring);
	push(&ring, 0);
	sends(&ring, 3);
	assert_int_equal(ring.low, 1);
	ring_finish(&ring);
}

static void test_low_is_the_oldest_that_is_not_accepted(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 8, 5);
	for (uint64_t seq = 1; seq <= 5; seq++)
		sends(&ring, seq);
	assert_int_equal(ring_accept(&ring, 2, 2), 2);
	assert_int_equal(ring.low, 1);
	assert_int_equal(ring.in_flight, 3);
	assert_int_equal(ring_accept(&ring, 1, 1), 1);
	assert_int_equal(ring.low, 4);
	assert_int_equal(ring_accept(&ring, 4, 2), 2);
	assert_int_equal(ring.low, ring.next);
	assert_int_equal(ring.in_flight, 0);
	ring_finish(&ring);
}

static void test_what_the_ring_does_not_hold_cannot_be_accepted(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 4, 3);
	sends(&ring, 1);
	assert_int_equal(ring_accept(&ring, 4, 100), 0);
	assert_int_equal(ring_accept(&ring, UINT64_MAX, UINT64_MAX), 0);
	assert_int_equal(ring_accept(&ring, 1, 0), 0);
	assert_int_equal(ring_accept(&ring, 1, 1), 1);
	assert_int_equal(ring_accept(&ring, 1, 1), 0);
	assert_int_equal(ring.low, 2);
	assert_int_equal(ring.next, 4);
	assert_int_equal(ring_accept(&ring, 0, UINT64_MAX), 2);
	assert_int_equal(ring.low, 4);
	sends_nothing(&ring);
	ring_finish(&ring);
}

static void test_what_was_accepted_is_not_sent_again(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 8, 5);
	/* Accepted before it was sent here: the answer to an earlier connection. */
	ring_accept(&ring, 2, 1);
	sends(&ring, 1);
	sends(&ring, 3);
	ring_accept(&ring, 3, 1);
	ring_rewind(&ring);
	sends(&ring, 1);
	sends(&ring, 4);
	sends(&ring, 5);
	sends_nothing(&ring);
	ring_finish(&ring);
}

static void test_a_full_ring_drops_the_oldest(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 3, 3);
	sends(&ring, 1);
	push(&ring, 1);
	assert_int_equal(ring.low, 2);
	assert_int_equal(ring.in_flight, 0);
	push(&ring, 2);
	assert_int_equal(ring.low, 3);
	sends(&ring, 3);
	sends(&ring, 4);
	sends(&ring, 5);
	sends_nothing(&ring);
	assert_int_equal(ring_accept(&ring, 1, 2), 0);
	ring_finish(&ring);
}

static void test_a_drop_may_free_more_room_than_one(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 3, 3);
	ring_accept(&ring, 2, 2);
	assert_int_equal(ring.low, 1);
	push(&ring, 1);
	assert_int_equal(ring.low, 4);
	push(&ring, 0);
	push(&ring, 0);
	push(&ring, 4);
	ring_finish(&ring);
}

static void test_a_ring_of_one_holds_the_newest(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 1, 1);
	for (uint64_t seq = 2; seq < 10; seq++) {
		push(&ring, seq - 1);
		assert_int_equal(ring.low, seq);
	}
	sends(&ring, 9);
	sends_nothing(&ring);
	ring_finish(&ring);
}

static void test_a_failed_send_is_tried_again(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 4, 3);
	sends(&ring, 1);
	sends(&ring, 2);
	ring_unsend(&ring, 2);
	assert_int_equal(ring.in_flight, 1);
	sends(&ring, 2);
	sends(&ring, 3);
	assert_int_equal(ring.in_flight, 3);
	ring_finish(&ring);
}

static void test_after_a_rewind_everything_unanswered_is_sent_again(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 4, 3);
	sends(&ring, 1);
	sends(&ring, 2);
	ring_rewind(&ring);
	assert_int_equal(ring.in_flight, 0);
	for (uint64_t seq = 1; seq <= 3; seq++)
		sends(&ring, seq);
	sends_nothing(&ring);
	ring_accept(&ring, 1, 3);
	ring_rewind(&ring);
	sends_nothing(&ring);
	ring_finish(&ring);
}

static void test_what_is_not_accepted_can_be_told(void **state)
{
	(void)state;
	struct ring ring;
	uint64_t first = 0;
	fill(&ring, 4, 0);
	assert_int_equal(ring_unaccepted(&ring, 0, &first), 0);
	for (int i = 0; i < 4; i++)
		push(&ring, 0);
	push(&ring, 1);
	push(&ring, 2);
	sends(&ring, 3);
	ring_accept(&ring, 4, 1);
	assert_int_equal(ring_unaccepted(&ring, 0, &first), 1);
	assert_int_equal(first, 3);
	assert_int_equal(ring_unaccepted(&ring, 4, &first), 2);
	assert_int_equal(first, 5);
	assert_int_equal(ring_unaccepted(&ring, 6, &first), 1);
	assert_int_equal(first, 6);
	assert_int_equal(ring_unaccepted(&ring, 7, &first), 0);
	ring_accept(&ring, 3, 4);
	assert_int_equal(ring_unaccepted(&ring, 0, &first), 0);
	ring_finish(&ring);
}

/* ---- the same operations on arrays that never wrap ---- */

#define STEPS 20000

struct model {
	enum { NOWHERE, WAITING, FLYING, GONE } at[STEPS + 2];
	uint64_t low, next;
};

static void model_advance(struct model *model)
{
	while (model->low < model->next && model->at[model->low] == GONE)
		model->low++;
}

static uint64_t model_next_to_send(const struct model *model)
{
	for (uint64_t seq = model->low; seq < model->next; seq++) {
		if (model->at[seq] == WAITING)
			return seq;
	}
	return 0;
}

static unsigned model_push(struct model *model, size_t size)
{
	unsigned dropped = 0;
	if (model->next - model->low == size) {
		model->at[model->low] = GONE;
		model_advance(model);
		dropped = 1;
	}
	model->at[model->next++] = WAITING;
	return dropped;
}

static void test_a_ring_behaves_as_an_endless_array_would(void **state)
{
	(void)state;
	static struct model model;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		static const size_t sizes[] = {1, 2, 7, 64};
		uint64_t random = seed * 104729;
		size_t size = sizes[seed % LENGTH(sizes)];
		struct ring ring;
		print_message("seed %llu\n", (unsigned long long)random);
		memset(&model, 0, sizeof(model));
		model.low = model.next = 1;
		assert_int_equal(ring_init(&ring, size), 0);
		for (int step = 0; step < STEPS; step++) {
			uint64_t action = random_below(&random, 20), seq = 0, accepted = 0;
			if (action < 8) {
				const struct ring_item item = {
					.json = malloc(1), .sensor = (uint16_t)ring.next};
				assert_int_equal(
					ring_push(&ring, &item), model_push(&model, size));
			} else if (action < 14) {
				uint64_t expected = model_next_to_send(&model);
				const struct ring_item *item = ring_send(&ring, &seq);
				assert_int_equal(item != NULL, expected != 0);
				assert_int_equal(seq, expected);
				if (item != NULL && action == 8)
					ring_unsend(&ring, seq);
				else if (item != NULL)
					model.at[seq] = FLYING;
			} else if (action < 19) {
				uint64_t first = 1 + random_below(&random, model.next + 2);
				uint64_t count = random_below(&random, 6);
				for (seq = first; seq < first + count; seq++) {
					if (seq < model.low || seq >= model.next ||
						model.at[seq] == GONE)
						continue;
					model.at[seq] = GONE;
					accepted++;
				}
				model_advance(&model);
				assert_int_equal(
					ring_accept(&ring, first, count), accepted);
			} else {
				ring_rewind(&ring);
				for (seq = model.low; seq < model.next; seq++) {
					if (model.at[seq] == FLYING)
						model.at[seq] = WAITING;
				}
			}
			assert_int_equal(ring.low, model.low);
			assert_int_equal(ring.next, model.next);
			uint64_t flying = 0;
			for (seq = model.low; seq < model.next; seq++)
				flying += model.at[seq] == FLYING;
			assert_int_equal(ring.in_flight, flying);
		}
		ring_finish(&ring);
	}
}

/* Around the half nothing goes to and fro: each change has readings sent again. */
static void test_room_is_short_above_a_half_until_a_quarter(void **state)
{
	(void)state;
	struct ring ring;
	fill(&ring, 20, 8);
	assert_false(ring_is_short(&ring, 16));
	push(&ring, 0);
	assert_true(ring_is_short(&ring, 16));
	assert_int_equal(ring_accept(&ring, 1, 4), 4);
	assert_true(ring_is_short(&ring, 16));
	assert_int_equal(ring_accept(&ring, 5, 1), 1);
	assert_false(ring_is_short(&ring, 16));
	for (int i = 0; i < 4; i++)
		push(&ring, 0);
	assert_false(ring_is_short(&ring, 16));
	push(&ring, 0);
	assert_true(ring_is_short(&ring, 16));
	ring_finish(&ring);
}

/* One reading in it is what it is for. */
static void test_small_room_is_short_no_longer_than_it_must(void **state)
{
	(void)state;
	for (uint64_t room = 2; room <= 8; room++) {
		struct ring ring;
		fill(&ring, 20, (unsigned)room / 2 + 1);
		assert_true(ring_is_short(&ring, room));
		ring_accept(&ring, 1, room / 2);
		assert_false(ring_is_short(&ring, room));
		ring_finish(&ring);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_begin_at_one_and_readings_leave_in_order),
		cmocka_unit_test(test_low_is_the_oldest_that_is_not_accepted),
		cmocka_unit_test(test_what_the_ring_does_not_hold_cannot_be_accepted),
		cmocka_unit_test(test_what_was_accepted_is_not_sent_again),
		cmocka_unit_test(test_a_full_ring_drops_the_oldest),
		cmocka_unit_test(test_a_drop_may_free_more_room_than_one),
		cmocka_unit_test(test_a_ring_of_one_holds_the_newest),
		cmocka_unit_test(test_a_failed_send_is_tried_again),
		cmocka_unit_test(test_after_a_rewind_everything_unanswered_is_sent_again),
		cmocka_unit_test(test_what_is_not_accepted_can_be_told),
		cmocka_unit_test(test_room_is_short_above_a_half_until_a_quarter),
		cmocka_unit_test(test_small_room_is_short_no_longer_than_it_must),
		cmocka_unit_test(test_a_ring_behaves_as_an_endless_array_would),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
