/*
 * A sampler's ring, a publisher's stream, window and outbox, and a centre of several
 * receivers that share one interval set, joined by channels that lose, repeat and reorder
 * messages, while connections break, the publisher is killed, and receivers are frozen,
 * or killed before or after their commit. Whatever happens, each reading that was accepted
 * is stored once, and what is lost was dropped by the full ring.
 */
#include "delivery_world.h"

static void take_reading(struct world *w, const struct message *message)
{
	struct stream *s = w->stream;
	struct live_reading live = {.seq = message->first, .arrived_ms = w->tick, .len = 1};
	if (message->low > s->heard_low)
		s->heard_low = message->low;
	if (stream_holds(s, message->first) ||
		dp_intervals_contains(&s->answered, message->first)) {
		if (dp_intervals_contains(&s->stored, message->first) ||
			dp_intervals_contains(&s->answered, message->first))
			ok(dp_intervals_add(&s->accepted, message->first, message->first));
		return;
	}
	live.json = malloc(1);
	assert_non_null(live.json);
	ok(stream_add_live(s, &live));
}

/*
 * No more may be on its way than the window allows, and no reading twice unless the centre
 * has it already (an answer about the middle of a message leaves the message as it is).
 */
static void check_flight(
	const struct world *w, enum delivery_class class, uint64_t first, uint64_t count)
{
	const struct delivery *d = &w->delivery;
	unsigned n[DELIVERY_CLASSES] = {0, 0};
	uint64_t end;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (d->slots[i].count > 0)
			n[d->slots[i].class]++;
	}
	assert_int_equal(n[DELIVERY_LIVE], d->in_flight[DELIVERY_LIVE]);
	assert_int_equal(n[DELIVERY_BACKLOG], d->in_flight[DELIVERY_BACKLOG]);
	assert_true(n[DELIVERY_LIVE] + n[DELIVERY_BACKLOG] < SLOTS);
	if (class == DELIVERY_BACKLOG)
		assert_true(n[DELIVERY_BACKLOG] + RESERVE < d->window ||
			    n[DELIVERY_BACKLOG] == 0);
	else
		assert_true(n[DELIVERY_LIVE] < RESERVE ||
			    n[DELIVERY_LIVE] + n[DELIVERY_BACKLOG] < d->window);
	for (uint64_t seq = first; seq < first + count; seq++)
		assert_true(!delivery_in_flight(d, 1, seq, &end) ||
			    dp_intervals_contains(&w->set, seq));
}

static void send_batch(
	struct world *w, enum delivery_class class, uint64_t first, uint32_t count)
{
	check_flight(w, class, first, count);
	delivery_send(&w->delivery, class, 1, first, count, (int64_t)w->tick * TICK_MS, 0);
	put(w, &w->batches, first, count, stream_low(w->stream));
}

static bool send_live(struct world *w)
{
	struct stream *s = w->stream;
	struct live_reading *live = stream_next_live(s);
	uint32_t count = 0;
	if (live == NULL)
		return false;
	uint64_t first = live->seq;
	while (live < s->live + s->n_live && live->seq == first + count &&
		!live->in_flight && count < BATCH) {
		live->in_flight = true;
		live++;
		count++;
	}
	send_batch(w, DELIVERY_LIVE, first, count);
	return true;
}

static bool send_backlog(struct world *w)
{
	struct stream *s = w->stream;
	for (size_t i = 0; i < s->stored.n; i++) {
		uint64_t at = s->stored.at[i].first, end, last = s->stored.at[i].last;
		while (at <= last && delivery_in_flight(&w->delivery, 1, at, &end))
			at = end;
		if (at > last)
			continue;
		uint64_t next = delivery_next_flight(&w->delivery, 1, at);
		if (next <= last)
			last = next - 1;
		if (last - at >= BATCH)
			last = at + BATCH - 1;
		send_batch(w, DELIVERY_BACKLOG, at, (uint32_t)(last + 1 - at));
		return true;
	}
	return false;
}

/* The write that was under way is done. */
static void end_spill(struct world *w)
{
	struct stream *s = w->stream;
	for (uint64_t seq = 1; seq <= READINGS; seq++) {
		if (w->appending[seq])
			ok(stream_spilled(s, seq));
	}
	assert_int_equal(s->spilling.n, 0);
	memset(w->appending, 0, sizeof(w->appending));
	w->writing = false;
}

static bool goes(void *data, struct stream *stream, const struct live_reading *live)
{
	struct world *w = data;
	if (live->arrived_ms + w->conditions->spill_ticks > w->tick)
		return false;
	assert_ptr_equal(stream, w->stream);
	ok(dp_intervals_add(&w->disk, live->seq, live->seq));
	free(live->json);
	w->appending[live->seq] = true;
	w->writing = true;
	return true;
}

/* What has waited too long is committed to the outbox; it takes some turns to know. */
static void begin_spill(struct world *w)
{
	uint64_t low = stream_low(w->stream);
	ok(stream_spill(w->stream, goes, w));
	if (w->writing)
		w->disk_low = low;
}

static void outbox_turn(struct world *w)
{
	struct stream *s = w->stream;
	if (w->writing) {
		if (chance(w, 30))
			end_spill(w);
		return;
	}
	if (chance(w, 20)) {
		for (size_t i = 0; i < s->answered.n; i++)
			ok(dp_intervals_remove(
				&w->disk, s->answered.at[i].first, s->answered.at[i].last));
		stream_begin_remove(s);
	}
	if (w->conditions->spill_ticks > 0)
		begin_spill(w);
}

static void publisher_turn(struct world *w)
{
	struct message message;
	struct flight flight;
	int64_t now_ms = (int64_t)w->tick * TICK_MS;
	while (get(w, &w->readings, &message))
		take_reading(w, &message);
	while (get(w, &w->answers, &message)) {
		delivery_answer(&w->delivery, 1, message.first, message.count);
		ok(stream_answer(w->stream, message.first, message.count));
	}
	bool due = delivery_deadline(&w->delivery) <= now_ms;
	bool expired = false;
	while (delivery_expire(&w->delivery, now_ms, &flight)) {
		stream_unsend(w->stream, flight.first, flight.count);
		expired = true;
	}
	assert_int_equal(due, expired);
	while (delivery_may_send(&w->delivery, DELIVERY_LIVE) && send_live(w))
		;
	while (delivery_may_send(&w->delivery, DELIVERY_BACKLOG) && send_backlog(w))
		;
	outbox_turn(w);
	/* What is to be sent from the outbox is there. */
	for (size_t i = 0; i < w->stream->stored.n; i++) {
		struct dp_interval gap, *range = &w->stream->stored.at[i];
		assert_false(
			dp_intervals_missing(&w->disk, range->first, range->last, &gap));
	}
	struct dp_intervals *accepted = &w->stream->accepted;
	for (size_t i = 0; i < accepted->n; i++)
		put(w, &w->acceptances, accepted->at[i].first,
			accepted->at[i].last + 1 - accepted->at[i].first, 0);
	dp_intervals_clear(accepted);
}

static void start_publisher(struct world *w)
{
	static const struct dp_stream_id id = {{1}};
	w->stream = stream_create(&id, "n");
	assert_non_null(w->stream);
	w->stream->heard_low = w->disk_low;
	for (size_t i = 0; i < w->disk.n; i++)
		ok(dp_intervals_add(
			&w->stream->stored, w->disk.at[i].first, w->disk.at[i].last));
	memset(w->appending, 0, sizeof(w->appending));
	w->writing = false;
	delivery_init(&w->delivery, w->slots, SLOTS, RESERVE, TIMEOUT_MS, TIMEOUT_LIMIT_MS,
		next_random(&w->random));
}

/* SIGKILL: only the outbox is left. The sampler hears that there is a new one. */
static void kill_publisher(struct world *w)
{
	stream_destroy(w->stream);
	start_publisher(w);
	ring_rewind(&w->ring);
}

static void break_connection(struct world *w)
{
	struct flight flight;
	while (delivery_reset(&w->delivery, &flight))
		;
	assert_int_equal(w->delivery.in_flight[DELIVERY_LIVE] +
				 w->delivery.in_flight[DELIVERY_BACKLOG],
		0);
	stream_unsend_all(w->stream);
}

/* ---- the centre ---- */

/* What was under way when all was answered arrives after all, and changes nothing. */
static void let_late_ones_in(struct world *w)
{
	for (size_t i = 0; i < w->batches.n; i++)
		store(w, &w->batches.messages[i]);
	for (unsigned i = 0; i < w->conditions->receivers; i++) {
		for (size_t k = 0; k < w->receivers[i].n; k++)
			store(w, &w->receivers[i].queue[k]);
	}
}

/* ---- runs ---- */

static bool finished(const struct world *w)
{
	return w->ring.next > READINGS && w->ring.low == w->ring.next &&
	       w->stream->n_live == 0 && w->stream->spilling.n == 0 &&
	       w->stream->stored.n == 0;
}

static struct world world; /* too large for the stack */

/* The same mix of mishaps until every reading has been taken, then to the end. */
static void run(const struct conditions *conditions, uint64_t seed)
{
	struct world *w = &world;
	memset(w, 0, sizeof(*w));
	w->conditions = conditions;
	w->random = seed;
	ok(ring_init(&w->ring, conditions->ring_size));
	start_publisher(w);
	for (; !finished(w); w->tick++) {
		w->steps += 2;
		assert_true(w->tick < TICKS_MAX);
		sampler_turn(w);
		publisher_turn(w);
		centre_turn(w);
		if (random_below(&w->random, 10000) < conditions->kills)
			kill_publisher(w);
		if (random_below(&w->random, 10000) < conditions->breaks)
			break_connection(w);
	}
	/* The sampler says goodbye: what is missing now will never come. */
	const struct message goodbye = {.first = w->ring.next, .low = w->ring.low};
	store(w, &goodbye);
	let_late_ones_in(w);
	assert_int_equal(w->set.n, 1);
	assert_true(w->set.at[0].first == 1 && w->set.at[0].last == READINGS);
	unsigned lost = 0;
	for (uint64_t seq = 1; seq <= READINGS; seq++) {
		lost += w->lost[seq];
		assert_int_equal(w->stored[seq] + w->lost[seq], 1);
		if (w->lost[seq])
			assert_true(w->dropped[seq] && !w->accepted[seq]);
	}
	if (conditions->ring_size > READINGS)
		assert_int_equal(lost, 0);
	break_connection(w);
	ring_finish(&w->ring);
	stream_destroy(w->stream);
	dp_intervals_finish(&w->disk);
	dp_intervals_finish(&w->set);
}

static uint64_t steps;

static void run_seeds(unsigned seeds, struct conditions conditions)
{
	for (uint64_t i = 1; i <= seeds; i++) {
		uint64_t seed = i * 7919;
		print_message("seed %llu\n", (unsigned long long)seed);
		run(&conditions, seed);
		steps += world.steps;
	}
}

#define ENOUGH (2 * READINGS) /* of the ring: it drops nothing */

/*
 * loss, repeat, delay_ticks, ring_size, spill_ticks, kills, breaks,
 * receivers, receiver_kills, freezes
 */

static void test_a_perfect_channel_loses_nothing(void **state)
{
	(void)state;
	run_seeds(2, (struct conditions){0, 0, 1, ENOUGH, 0, 0, 0, 1, 0, 0});
}

static void test_lost_repeated_and_reordered_messages_do_no_harm(void **state)
{
	(void)state;
	run_seeds(60, (struct conditions){20, 20, 30, ENOUGH, 0, 0, 0, 1, 0, 0});
	run_seeds(30, (struct conditions){50, 0, 5, ENOUGH, 0, 0, 0, 3, 0, 0});
}

static void test_broken_connections_do_no_harm(void **state)
{
	(void)state;
	run_seeds(60, (struct conditions){5, 5, 40, ENOUGH, 0, 0, 300, 1, 0, 0});
}

static void test_the_outbox_takes_part(void **state)
{
	(void)state;
	run_seeds(60, (struct conditions){20, 20, 30, ENOUGH, 10, 0, 100, 2, 0, 0});
}

static void test_a_killed_publisher_loses_nothing_that_it_accepted(void **state)
{
	(void)state;
	run_seeds(60, (struct conditions){10, 10, 30, ENOUGH, 10, 200, 100, 1, 0, 0});
}

static void test_receivers_that_die_or_freeze_store_nothing_twice(void **state)
{
	(void)state;
	run_seeds(60, (struct conditions){5, 5, 30, ENOUGH, 10, 0, 50, 1, 2000, 0});
	run_seeds(60, (struct conditions){0, 0, 5, ENOUGH, 10, 0, 50, 3, 500, 200});
	run_seeds(60, (struct conditions){20, 20, 30, ENOUGH, 10, 100, 100, 5, 500, 200});
}

static void test_what_a_full_ring_drops_is_all_that_is_lost(void **state)
{
	(void)state;
	run_seeds(60, (struct conditions){30, 10, 40, 60, 50, 100, 100, 3, 200, 100});
}

static void test_there_were_enough_steps(void **state)
{
	(void)state;
	print_message("%llu steps\n", (unsigned long long)steps);
	assert_true(steps >= STEPS_WANTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_perfect_channel_loses_nothing),
		cmocka_unit_test(test_lost_repeated_and_reordered_messages_do_no_harm),
		cmocka_unit_test(test_broken_connections_do_no_harm),
		cmocka_unit_test(test_the_outbox_takes_part),
		cmocka_unit_test(test_a_killed_publisher_loses_nothing_that_it_accepted),
		cmocka_unit_test(test_receivers_that_die_or_freeze_store_nothing_twice),
		cmocka_unit_test(test_what_a_full_ring_drops_is_all_that_is_lost),
		cmocka_unit_test(test_there_were_enough_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
