/*
 * What is around the publisher in test_delivery_model.c: a sampler's ring, channels that
 * lose, repeat and reorder messages, and a centre of several receivers that share one
 * interval set. The test includes it once.
 */
#ifndef TEST_DELIVERY_WORLD_H
#define TEST_DELIVERY_WORLD_H

#include "intervals.h"
#include "publisher/streams/stream.h"
#include "publisher/uplink/delivery.h"
#include "sampler/ring.h"
#include "support.h"

#define READINGS 1500
#define SLOTS 16
#define RESERVE 4
#define BATCH 40
#define TICK_MS 20
#define TIMEOUT_MS 400
#define TIMEOUT_LIMIT_MS 3000
#define RESEND_MS 1000
#define SAMPLER_WINDOW 50
#define TICKS_MAX 200000
#define IN_CHANNEL 8192
#define RECEIVERS_MAX 5
#define RECEIVER_QUEUE 32
#define FROZEN_TICKS 60 /* some timeouts */
#define STEPS_WANTED 5000000

struct conditions {
	unsigned loss, repeat; /* of 100 messages */
	unsigned delay_ticks;  /* at most */
	unsigned ring_size;
	unsigned spill_ticks; /* age at which a reading goes to the outbox; 0 never */
	unsigned kills;	      /* of 10000 ticks */
	unsigned breaks;      /* of the upstream connection, of 10000 ticks */
	unsigned receivers;
	unsigned receiver_kills, freezes; /* of 10000 turns of a receiver */
};

struct message {
	unsigned at; /* tick of arrival */
	uint64_t first, count, low;
};

struct channel {
	struct message messages[IN_CHANNEL];
	size_t n;
};

struct receiver {
	struct message queue[RECEIVER_QUEUE];
	size_t n;
	unsigned frozen_until;
};

struct world {
	const struct conditions *conditions;
	uint64_t random;
	unsigned tick;
	uint64_t steps; /* turns of somebody, and messages that arrived */

	struct ring ring;
	unsigned resend_at;
	bool accepted[READINGS + 1], dropped[READINGS + 1];

	struct channel readings, acceptances, batches, answers;

	struct stream *stream;
	struct delivery delivery;
	struct flight slots[SLOTS];
	bool writing; /* it takes some turns until what is written is known to be */
	bool appending[READINGS + 1];
	struct dp_intervals disk;
	uint64_t disk_low;

	struct receiver receivers[RECEIVERS_MAX];
	struct dp_intervals set;
	unsigned stored[READINGS + 1];
	bool lost[READINGS + 1];
};

static bool chance(struct world *w, unsigned of_100)
{
	return random_below(&w->random, 100) < of_100;
}

static void ok(int err)
{
	assert_int_equal(err, 0);
}

static void put(struct world *w, struct channel *channel, uint64_t first, uint64_t count,
	uint64_t low)
{
	unsigned copies = chance(w, w->conditions->loss) ? 0 : 1;
	copies += chance(w, w->conditions->repeat);
	while (copies-- > 0) {
		unsigned delay =
			1 + (unsigned)random_below(&w->random, w->conditions->delay_ticks);
		assert_true(channel->n < IN_CHANNEL);
		channel->messages[channel->n++] =
			(struct message){w->tick + delay, first, count, low};
	}
}

static bool get(struct world *w, struct channel *channel, struct message *message)
{
	for (size_t i = 0; i < channel->n; i++) {
		if (channel->messages[i].at <= w->tick) {
			*message = channel->messages[i];
			channel->messages[i] = channel->messages[--channel->n];
			w->steps++;
			return true;
		}
	}
	return false;
}

/* ---- the sampler ---- */

static void sample(struct world *w)
{
	uint64_t oldest = w->ring.low;
	const struct ring_item item = {.json = malloc(1), .len = 1};
	assert_non_null(item.json);
	if (ring_push(&w->ring, &item) > 0)
		w->dropped[oldest] = true;
}

static void sampler_turn(struct world *w)
{
	struct message message;
	uint64_t seq;
	while (get(w, &w->acceptances, &message)) {
		for (seq = message.first; seq < message.first + message.count; seq++)
			w->accepted[seq] = !w->dropped[seq];
		ring_accept(&w->ring, message.first, message.count);
	}
	if (w->ring.next <= READINGS && chance(w, 60))
		sample(w);
	if (w->ring.in_flight > 0 && w->tick >= w->resend_at)
		ring_rewind(&w->ring);
	while (w->ring.in_flight < SAMPLER_WINDOW && ring_send(&w->ring, &seq) != NULL) {
		put(w, &w->readings, seq, 1, w->ring.low);
		w->resend_at = w->tick + RESEND_MS / TICK_MS;
	}
	assert_true(w->ring.in_flight <= SAMPLER_WINDOW);
	assert_true(w->ring.next - w->ring.low <= w->conditions->ring_size);
}

/* ---- the publisher ---- */

static void store(struct world *w, const struct message *message)
{
	struct dp_interval gap;
	while (message->low > 1 &&
		dp_intervals_missing(&w->set, 1, message->low - 1, &gap)) {
		for (uint64_t seq = gap.first; seq <= gap.last; seq++)
			w->lost[seq] = true;
		ok(dp_intervals_add(&w->set, gap.first, gap.last));
	}
	if (message->count == 0)
		return;
	for (uint64_t seq = message->first; seq < message->first + message->count; seq++)
		w->stored[seq] += !dp_intervals_contains(&w->set, seq);
	ok(dp_intervals_add(&w->set, message->first, message->first + message->count - 1));
}

/* One transaction, then the answers: it may die before, between or among them. */
static void commit(struct world *w, struct receiver *r)
{
	bool dies = random_below(&w->random, 10000) < w->conditions->receiver_kills;
	if (dies && chance(w, 50)) {
		r->n = 0;
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		store(w, &r->queue[i]);
	size_t answered = dies ? random_below(&w->random, r->n + 1) : r->n;
	for (size_t i = 0; i < answered; i++)
		put(w, &w->answers, r->queue[i].first, r->queue[i].count, 0);
	r->n = 0;
}

static void receiver_turn(struct world *w, struct receiver *r)
{
	w->steps++;
	if (r->frozen_until > w->tick)
		return;
	if (random_below(&w->random, 10000) < w->conditions->freezes)
		r->frozen_until =
			w->tick + 1 + (unsigned)random_below(&w->random, FROZEN_TICKS);
	else if (r->n > 0 && chance(w, 50))
		commit(w, r);
}

/* The broker gives each message to one of them, frozen or not. */
static void centre_turn(struct world *w)
{
	struct message message;
	unsigned n = w->conditions->receivers;
	while (get(w, &w->batches, &message)) {
		struct receiver *r = &w->receivers[random_below(&w->random, n)];
		if (r->n == RECEIVER_QUEUE)
			commit(w, r);
		r->queue[r->n++] = message;
	}
	for (unsigned i = 0; i < n; i++)
		receiver_turn(w, &w->receivers[i]);
}

#endif
