#include "publisher/uplink/delivery.h"

#include "backoff.h"
#include "support.h"

#define MAX 16
#define RESERVE 4
#define TIMEOUT_MS INT64_C(1000)
#define LIMIT_MS INT64_C(8000)
#define OWNER 1
#define OTHER 2

struct window {
	struct delivery delivery;
	struct flight slots[MAX];
};

static void init(struct window *w)
{
	delivery_init(&w->delivery, w->slots, MAX, RESERVE, TIMEOUT_MS, LIMIT_MS, 42);
}

static unsigned in_flight(const struct delivery *d)
{
	return d->in_flight[DELIVERY_LIVE] + d->in_flight[DELIVERY_BACKLOG];
}

/* Send messages of 10 readings until the window says no. @return how many */
static unsigned fill(
	struct delivery *d, enum delivery_class class, uint64_t first, int64_t now_ms)
{
	unsigned n = 0;
	while (delivery_may_send(d, class)) {
		delivery_send(d, class, OWNER, first + (uint64_t)n * 10, 10, now_ms, 0);
		n++;
	}
	return n;
}

/* Answer all that fill() sent, until the window is as wide as it gets. */
static void widen(struct delivery *d)
{
	for (int i = 0; i < MAX; i++) {
		fill(d, DELIVERY_LIVE, 1, 0);
		delivery_answer(d, OWNER, 1, MAX * UINT64_C(10));
	}
	assert_int_equal(d->window, MAX);
	assert_int_equal(in_flight(d), 0);
}

static void test_the_window_begins_small_but_above_the_reserve(void **state)
{
	(void)state;
	struct delivery d;
	struct flight slots[64];
	delivery_init(&d, slots, 64, 8, 1, 1, 0);
	assert_int_equal(d.window, 16);
	delivery_init(&d, slots, 16, 8, 1, 1, 0);
	assert_int_equal(d.window, 9);
	delivery_init(&d, slots, 1, 0, 1, 1, 0);
	assert_int_equal(d.window, 1);
	assert_true(d.random != 0);
}

static void test_no_more_is_in_flight_than_the_window(void **state)
{
	(void)state;
	struct window w;
	init(&w);
	unsigned window = w.delivery.window;
	assert_int_equal(fill(&w.delivery, DELIVERY_LIVE, 1, 0), window);
	widen(&w.delivery);
	assert_int_equal(fill(&w.delivery, DELIVERY_LIVE, 1, 0), MAX);
	assert_false(delivery_may_send(&w.delivery, DELIVERY_LIVE));
	assert_false(delivery_may_send(&w.delivery, DELIVERY_BACKLOG));
}

static void test_a_backlog_leaves_the_reserve_to_live_messages(void **state)
{
	(void)state;
	struct window w;
	init(&w);
	widen(&w.delivery);
	assert_int_equal(fill(&w.delivery, DELIVERY_BACKLOG, 1, 0), MAX - RESERVE);
	assert_int_equal(fill(&w.delivery, DELIVERY_LIVE, 1000, 0), RESERVE);
	assert_int_equal(in_flight(&w.delivery), MAX);
}

static void test_live_messages_do_not_wait_for_a_backlog_in_a_shrunken_window(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	init(&w);
	widen(&w.delivery);
	fill(&w.delivery, DELIVERY_BACKLOG, 1, 0);
	for (int64_t now_ms = 1; w.delivery.window > 1; now_ms += 2 * LIMIT_MS) {
		while (delivery_expire(&w.delivery, now_ms, &flight))
			;
		fill(&w.delivery, DELIVERY_BACKLOG, 1, now_ms);
	}
	/* The backlog crawls, one message at a time, and live ones pass it. */
	assert_int_equal(w.delivery.in_flight[DELIVERY_BACKLOG], 1);
	assert_false(delivery_may_send(&w.delivery, DELIVERY_BACKLOG));
	assert_int_equal(fill(&w.delivery, DELIVERY_LIVE, 1000, 0), RESERVE);
}

static void test_each_answered_message_widens_the_window_by_one(void **state)
{
	(void)state;
	struct window w;
	init(&w);
	unsigned window = w.delivery.window;
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 0, 0);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 11, 10, 0, 0);
	delivery_answer(&w.delivery, OWNER, 1, 10);
	assert_int_equal(w.delivery.window, window + 1);
	delivery_answer(&w.delivery, OWNER, 1, 10);
	assert_int_equal(w.delivery.window, window + 1);
	delivery_answer(&w.delivery, OWNER, 11, 10);
	assert_int_equal(w.delivery.window, window + 2);
}

static void test_an_answer_may_cover_many_messages_and_more(void **state)
{
	(void)state;
	struct window w;
	init(&w);
	fill(&w.delivery, DELIVERY_LIVE, 100, 0);
	delivery_answer(&w.delivery, OWNER, 1, 100000);
	assert_int_equal(in_flight(&w.delivery), 0);
	fill(&w.delivery, DELIVERY_LIVE, 100, 0);
	delivery_answer(&w.delivery, OWNER, 1, UINT64_C(1) << 53);
	assert_int_equal(in_flight(&w.delivery), 0);
}

static void test_an_answer_about_a_part_leaves_the_rest_in_flight(void **state)
{
	(void)state;
	struct window w;
	uint64_t end = 0;
	init(&w);
	const struct flight *flight =
		delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 100, 10, 0, 0);
	delivery_answer(&w.delivery, OWNER, 90, 10);  /* just before it */
	delivery_answer(&w.delivery, OWNER, 110, 10); /* just behind it */
	assert_int_equal(flight->first, 100);
	assert_int_equal(flight->count, 10);
	delivery_answer(&w.delivery, OWNER, 95, 7);
	assert_int_equal(flight->first, 102);
	assert_int_equal(flight->count, 8);
	delivery_answer(&w.delivery, OWNER, 108, 20);
	assert_int_equal(flight->first, 102);
	assert_int_equal(flight->count, 6);
	delivery_answer(&w.delivery, OWNER, 104, 2);
	assert_int_equal(flight->first, 102);
	assert_int_equal(flight->count, 6);
	assert_false(delivery_in_flight(&w.delivery, OWNER, 101, &end));
	assert_false(delivery_in_flight(&w.delivery, OWNER, 108, &end));
	assert_true(delivery_in_flight(&w.delivery, OWNER, 105, &end));
	assert_int_equal(in_flight(&w.delivery), 1);
	delivery_answer(&w.delivery, OWNER, 102, 6);
	assert_int_equal(in_flight(&w.delivery), 0);
}

static void test_an_answer_is_about_one_owner_only(void **state)
{
	(void)state;
	struct window w;
	uint64_t end;
	init(&w);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 0, 0);
	delivery_send(&w.delivery, DELIVERY_LIVE, OTHER, 1, 10, 0, 0);
	delivery_answer(&w.delivery, OWNER, 1, 10);
	assert_false(delivery_in_flight(&w.delivery, OWNER, 1, &end));
	assert_true(delivery_in_flight(&w.delivery, OTHER, 1, &end));
	assert_int_equal(end, 11);
}

static void test_each_message_has_a_number_of_its_own_and_can_be_taken_by_it(void **state)
{
	(void)state;
	struct window w;
	struct flight taken = {.count = 0};
	init(&w);
	uint64_t first =
		delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 5, 0, 0)->number;
	uint64_t second =
		delivery_send(&w.delivery, DELIVERY_BACKLOG, OTHER, 7, 3, 0, 0)->number;
	assert_true(first > 0 && second > first);
	assert_false(delivery_remove(&w.delivery, second + 1, &taken));
	assert_false(delivery_remove(&w.delivery, 0, &taken));
	assert_true(delivery_remove(&w.delivery, second, &taken));
	assert_int_equal(taken.owner, OTHER);
	assert_int_equal(taken.first, 7);
	assert_int_equal(taken.count, 3);
	assert_int_equal(w.delivery.in_flight[DELIVERY_BACKLOG], 0);
	assert_int_equal(w.delivery.in_flight[DELIVERY_LIVE], 1);
	assert_false(delivery_remove(&w.delivery, second, &taken));
	uint64_t third =
		delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 6, 5, 0, 0)->number;
	assert_true(third > second);
}

static void test_numbers_of_another_run_are_other_numbers(void **state)
{
	(void)state;
	struct delivery first, second;
	struct flight slots[2][MAX];
	/* Seeds are random bits. */
	delivery_init(&first, slots[0], MAX, RESERVE, 1, 1, UINT64_C(0x123456789abcdef0));
	delivery_init(&second, slots[1], MAX, RESERVE, 1, 1, UINT64_C(0x0fedcba987654321));
	uint64_t a = delivery_send(&first, DELIVERY_LIVE, OWNER, 1, 1, 0, 0)->number;
	uint64_t b = delivery_send(&second, DELIVERY_LIVE, OWNER, 1, 1, 0, 0)->number;
	assert_true(a - b > 1000000 && b - a > 1000000);
	delivery_init(&first, slots[0], MAX, RESERVE, 1, 1, UINT64_MAX);
	assert_true(delivery_send(&first, DELIVERY_LIVE, OWNER, 1, 1, 0, 0)->number > 0);
}

static void test_a_message_comes_back_when_its_time_is_up_and_not_before(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	init(&w);
	assert_true(delivery_deadline(&w.delivery) == INT64_MAX);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 5, 5000, 0);
	int64_t deadline = delivery_deadline(&w.delivery);
	assert_in_range(deadline, 5000 + TIMEOUT_MS * 3 / 4, 5000 + TIMEOUT_MS * 5 / 4 - 1);
	assert_false(delivery_expire(&w.delivery, deadline - 1, &flight));
	assert_true(delivery_expire(&w.delivery, deadline, &flight));
	assert_int_equal(flight.first, 1);
	assert_int_equal(flight.count, 5);
	assert_int_equal(in_flight(&w.delivery), 0);
	assert_int_equal(w.delivery.resent, 1);
	assert_false(delivery_expire(&w.delivery, INT64_MAX, &flight));
	assert_true(delivery_deadline(&w.delivery) == INT64_MAX);
}

static void test_the_deadline_is_the_earliest_one(void **state)
{
	(void)state;
	struct window w;
	init(&w);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 5, 100000, 0);
	int64_t later = delivery_deadline(&w.delivery);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 6, 5, 0, 0);
	int64_t earlier = delivery_deadline(&w.delivery);
	assert_true(earlier < later);
	delivery_answer(&w.delivery, OWNER, 6, 5);
	assert_true(delivery_deadline(&w.delivery) == later);
}

static void test_a_lost_volley_shrinks_the_window_once(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	unsigned n = 0;
	init(&w);
	widen(&w.delivery);
	unsigned sent = fill(&w.delivery, DELIVERY_LIVE, 1, 10000);
	while (delivery_expire(&w.delivery, 10000 + 2 * TIMEOUT_MS, &flight))
		n++;
	assert_int_equal(n, sent);
	assert_int_equal(w.delivery.resent, sent);
	assert_int_equal(w.delivery.window, MAX / 2);
	assert_int_equal(w.delivery.timeout_ms, 2 * TIMEOUT_MS);
	/* What was sent after that and is lost too says something new. */
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 20000, 0);
	assert_true(delivery_expire(&w.delivery, 30000, &flight));
	assert_int_equal(w.delivery.window, MAX / 4);
	assert_int_equal(w.delivery.timeout_ms, 4 * TIMEOUT_MS);
}

static void test_silence_ends_in_one_message_at_a_time_and_the_longest_timeout(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	int64_t now_ms = 0;
	init(&w);
	for (int i = 0; i < 20; i++) {
		delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, now_ms, 0);
		now_ms += 2 * LIMIT_MS;
		assert_true(delivery_expire(&w.delivery, now_ms, &flight));
	}
	assert_int_equal(w.delivery.window, 1);
	assert_int_equal(w.delivery.timeout_ms, LIMIT_MS);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, now_ms, 0);
	assert_in_range(delivery_deadline(&w.delivery) - now_ms, LIMIT_MS * 3 / 4,
		LIMIT_MS * 5 / 4 - 1);
	/* One answer is enough to be patient no longer. */
	delivery_answer(&w.delivery, OWNER, 1, 10);
	assert_int_equal(w.delivery.timeout_ms, TIMEOUT_MS);
	assert_int_equal(w.delivery.window, 2);
}

static void test_a_reset_returns_everything_and_begins_anew(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	init(&w);
	unsigned window = w.delivery.window;
	widen(&w.delivery);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 0, 0);
	assert_true(delivery_expire(&w.delivery, 2 * TIMEOUT_MS, &flight));
	fill(&w.delivery, DELIVERY_BACKLOG, 1, 2 * TIMEOUT_MS);
	fill(&w.delivery, DELIVERY_LIVE, 1000, 2 * TIMEOUT_MS);
	unsigned sent = in_flight(&w.delivery);
	unsigned n = 0;
	while (delivery_reset(&w.delivery, &flight))
		n++;
	assert_int_equal(n, sent);
	assert_int_equal(in_flight(&w.delivery), 0);
	assert_int_equal(w.delivery.window, window);
	assert_int_equal(w.delivery.timeout_ms, TIMEOUT_MS);
	/* A loss right after the reset counts, whatever was lost before it. */
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 0, 0);
	assert_true(delivery_expire(&w.delivery, 2 * TIMEOUT_MS, &flight));
	assert_int_equal(w.delivery.window, window / 2);
}

static void test_flights_are_found_by_reading_and_by_where_the_next_begins(void **state)
{
	(void)state;
	struct window w;
	uint64_t end = 0;
	init(&w);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 10, 5, 0, 0);
	delivery_send(&w.delivery, DELIVERY_LIVE, OTHER, 16, 1, 0, 0);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 20, 5, 0, 0);
	assert_false(delivery_in_flight(&w.delivery, OWNER, 9, &end));
	assert_true(delivery_in_flight(&w.delivery, OWNER, 10, &end));
	assert_int_equal(end, 15);
	assert_true(delivery_in_flight(&w.delivery, OWNER, 14, &end));
	assert_false(delivery_in_flight(&w.delivery, OWNER, 15, &end));
	assert_false(delivery_in_flight(&w.delivery, OWNER, 16, &end));
	assert_false(delivery_in_flight(&w.delivery, OWNER, UINT64_MAX, &end));
	assert_true(delivery_next_flight(&w.delivery, OWNER, 0) == 10);
	assert_true(delivery_next_flight(&w.delivery, OWNER, 10) == 10);
	assert_true(delivery_next_flight(&w.delivery, OWNER, 11) == 20);
	assert_true(delivery_next_flight(&w.delivery, OWNER, 21) == UINT64_MAX);
	assert_true(delivery_next_flight(&w.delivery, OTHER, 0) == 16);
}

static void test_jitter_spreads_over_a_quarter_to_either_side(void **state)
{
	(void)state;
	uint64_t random = 20261122;
	int64_t least = INT64_MAX, most = 0;
	print_message("seed %llu\n", (unsigned long long)random);
	for (int i = 0; i < 10000; i++) {
		int64_t ms = dp_jitter_ms(&random, 10000);
		assert_in_range(ms, 7500, 12499);
		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
		assert_true(random != 0);
	}
	assert_true(least < 7600 && most > 12400);
	for (int64_t ms = 1; ms < 10; ms++) {
		for (int i = 0; i < 100; i++) {
			int64_t delay = dp_jitter_ms(&random, ms);
			assert_true(delay >= 1 && 4 * delay >= 3 * ms &&
				    4 * delay < 5 * ms + 4);
		}
	}
}

static void test_the_time_of_a_message_begins_when_its_answer_is_due(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	init(&w);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 0, 60000);
	assert_in_range(delivery_deadline(&w.delivery), 60000 + TIMEOUT_MS * 3 / 4,
		60000 + TIMEOUT_MS * 5 / 4);
	assert_false(delivery_expire(&w.delivery, 60000, &flight));
	assert_int_equal(w.delivery.resent, 0);
	/* Perhaps an ingest began anew: that is no loss yet. */
	unsigned window = w.delivery.window;
	assert_true(delivery_expire(&w.delivery, 60000 + 2 * TIMEOUT_MS, &flight));
	assert_int_equal(w.delivery.window, window);
	assert_int_equal(w.delivery.timeout_ms, TIMEOUT_MS);
	assert_true(delivery_presses(&w.delivery, DELIVERY_LIVE));
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 10, 70000, 0);
	assert_true(delivery_expire(&w.delivery, 70000 + 2 * TIMEOUT_MS, &flight));
	assert_true(w.delivery.window < window);
}

static void test_answers_are_wanted_at_once_until_there_was_one_and_when_many_wait(
	void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	init(&w);
	assert_true(delivery_presses(&w.delivery, DELIVERY_LIVE));
	widen(&w.delivery);
	for (unsigned i = 0; i < MAX / 2; i++) {
		assert_false(delivery_presses(&w.delivery, DELIVERY_LIVE));
		delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, i + 1, 1, 0, 5000);
	}
	assert_true(delivery_presses(&w.delivery, DELIVERY_LIVE));
	delivery_answer(&w.delivery, OWNER, 1, MAX);
	/* A backlog's share is what the reserve leaves. */
	for (unsigned i = 0; i < (MAX - RESERVE) / 2; i++) {
		assert_false(delivery_presses(&w.delivery, DELIVERY_BACKLOG));
		delivery_send(&w.delivery, DELIVERY_BACKLOG, OWNER, i + 1, 1, 0, 5000);
	}
	assert_true(delivery_presses(&w.delivery, DELIVERY_BACKLOG));
	/* Nobody knows whether it still answers: after a loss, and on a new connection. */
	while (delivery_expire(&w.delivery, 100000, &flight))
		;
	assert_true(delivery_presses(&w.delivery, DELIVERY_LIVE));
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 1, 0, 0);
	delivery_answer(&w.delivery, OWNER, 1, 1);
	assert_false(delivery_presses(&w.delivery, DELIVERY_LIVE));
	while (delivery_reset(&w.delivery, &flight))
		;
	assert_true(delivery_presses(&w.delivery, DELIVERY_LIVE));
}

static void test_what_may_take_time_can_be_recalled(void **state)
{
	(void)state;
	struct window w;
	struct flight flight;
	init(&w);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 1, 1, 0, 0);
	delivery_send(&w.delivery, DELIVERY_LIVE, OWNER, 2, 2, 0, 5000);
	delivery_send(&w.delivery, DELIVERY_LIVE, OTHER, 1, 1, 0, 5000);
	assert_true(delivery_recall(&w.delivery, OWNER, &flight));
	assert_int_equal(flight.first, 2);
	assert_int_equal(flight.count, 2);
	assert_false(delivery_recall(&w.delivery, OWNER, &flight));
	assert_int_equal(in_flight(&w.delivery), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_window_begins_small_but_above_the_reserve),
		cmocka_unit_test(test_no_more_is_in_flight_than_the_window),
		cmocka_unit_test(test_a_backlog_leaves_the_reserve_to_live_messages),
		cmocka_unit_test(
			test_live_messages_do_not_wait_for_a_backlog_in_a_shrunken_window),
		cmocka_unit_test(test_each_answered_message_widens_the_window_by_one),
		cmocka_unit_test(test_an_answer_may_cover_many_messages_and_more),
		cmocka_unit_test(test_an_answer_about_a_part_leaves_the_rest_in_flight),
		cmocka_unit_test(test_an_answer_is_about_one_owner_only),
		cmocka_unit_test(
			test_each_message_has_a_number_of_its_own_and_can_be_taken_by_it),
		cmocka_unit_test(test_numbers_of_another_run_are_other_numbers),
		cmocka_unit_test(
			test_a_message_comes_back_when_its_time_is_up_and_not_before),
		cmocka_unit_test(test_the_deadline_is_the_earliest_one),
		cmocka_unit_test(test_a_lost_volley_shrinks_the_window_once),
		cmocka_unit_test(
			test_silence_ends_in_one_message_at_a_time_and_the_longest_timeout),
		cmocka_unit_test(test_a_reset_returns_everything_and_begins_anew),
		cmocka_unit_test(
			test_flights_are_found_by_reading_and_by_where_the_next_begins),
		cmocka_unit_test(test_the_time_of_a_message_begins_when_its_answer_is_due),
		cmocka_unit_test(
			test_answers_are_wanted_at_once_until_there_was_one_and_when_many_wait),
		cmocka_unit_test(test_what_may_take_time_can_be_recalled),
		cmocka_unit_test(test_jitter_spreads_over_a_quarter_to_either_side),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
