/* How long messages wait for each other before they are committed together. */
#include "ingest/batches.h"
#include "support.h"

#define LIMIT 65536
#define PLAIN -1
#define UNREADABLE -2

static struct incoming *message(int wait_ms)
{
	struct incoming *in = calloc(1, sizeof(*in));
	if (in == NULL)
		abort();
	in->topic = in->payload = "";
	in->plain = wait_ms == PLAIN;
	if (wait_ms >= 0)
		in->identity.wait_ms = (uint32_t)wait_ms;
	if (wait_ms == UNREADABLE) {
		in->identity_error = -EBADMSG;
		in->identity.wait_ms = 1000;
	}
	return in;
}

static void add(struct batches *batches, int wait_ms, int64_t now_ms)
{
	batches_add(batches, message(wait_ms), now_ms);
}

/* @return how many messages are in a batch now */
static size_t fill(struct batches *batches, int64_t now_ms)
{
	batches_fill(batches, now_ms, false, false);
	return batches->batch.n;
}

/* The batch is stored, at once. */
static void store(struct batches *batches, int64_t now_ms)
{
	assert_true(batches_due(batches, now_ms));
	assert_non_null(batches_begin(batches, now_ms));
	assert_true(batches_end(batches, now_ms, 0, NULL));
}

/* Begin with a commit, and what comes after it. */
static void begin(struct batches *batches, int64_t now_ms)
{
	batches_init(batches, LIMIT, 1000);
	add(batches, 10000, now_ms);
	assert_int_equal(fill(batches, now_ms), 1);
	store(batches, now_ms);
}

static void test_the_first_after_a_pause_is_stored_at_once(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 500);
	/* Then those that come until its wait is over, together. */
	for (int64_t now_ms = 501; now_ms < 10500; now_ms += 333) {
		add(&batches, 10000, now_ms);
		assert_int_equal(fill(&batches, now_ms), 0);
		assert_int_equal(batches_wait_ms(&batches, now_ms), 10500 - now_ms);
	}
	assert_int_equal(fill(&batches, 10499), 0);
	assert_int_equal(fill(&batches, 10500), 31);
	store(&batches, 10500);
	assert_int_equal(batches_wait_ms(&batches, 10500), -1);
	/* And after a pause of its wait the next one is alone again. */
	add(&batches, 10000, 20499);
	assert_int_equal(fill(&batches, 20499), 0);
	add(&batches, 10000, 20500);
	assert_int_equal(fill(&batches, 20500), 2);
	batches_finish(&batches);
}

static void test_the_smallest_wait_counts(void **state)
{
	static const int waits_ms[] = {9000, 60000, 2000, 7000};
	struct batches batches;
	(void)state;
	begin(&batches, 0);
	for (size_t i = 0; i < LENGTH(waits_ms); i++)
		add(&batches, waits_ms[i], 100);
	assert_int_equal(fill(&batches, 1999), 0);
	assert_int_equal(fill(&batches, 2000), 4);
	store(&batches, 2000);
	/* One that comes late, after its wait has passed since the commit, is due. */
	add(&batches, 60000, 3000);
	assert_int_equal(fill(&batches, 7000), 0);
	add(&batches, 5000, 7000);
	assert_int_equal(fill(&batches, 7000), 2);
	batches_finish(&batches);
}

static void test_some_wait_for_nothing(void **state)
{
	static const int kinds[] = {0, UNREADABLE, PLAIN};
	struct batches batches;
	(void)state;
	for (size_t i = 0; i < LENGTH(kinds); i++) {
		begin(&batches, 0);
		batches.gathering.plain_wait_ms = 0;
		add(&batches, 10000, 1);
		assert_int_equal(fill(&batches, 1), 0);
		add(&batches, kinds[i], 1);
		assert_int_equal(fill(&batches, 1), 2);
		batches_finish(&batches);
	}
	/* A stop. */
	begin(&batches, 0);
	add(&batches, 10000, 1);
	batches_fill(&batches, 1, false, true);
	assert_int_equal(batches.batch.n, 1);
	batches_finish(&batches);
}

static void test_memory_is_not_gathered_beyond_half(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 0);
	while (batches.queue.bytes < LIMIT / 2) {
		assert_int_equal(fill(&batches, 1), 0);
		add(&batches, 10000, 1);
	}
	size_t n = batches.queue.n;
	assert_int_equal(fill(&batches, 1), n);
	/* What comes while it is being stored may be as much again. */
	batches_begin(&batches, 1);
	while (!batches_full(&batches))
		add(&batches, 10000, 2);
	batches_end(&batches, 3, 0, NULL);
	while (fill(&batches, 3) == 0)
		add(&batches, 10000, 3);
	assert_in_range(batches.batch.bytes, LIMIT / 2, LIMIT / 2 + 1000);
	batches_finish(&batches);
}

static void test_plain_messages_wait_for_each_other(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 0);
	for (int64_t now_ms = 100; now_ms < 1000; now_ms += 200) {
		add(&batches, PLAIN, now_ms);
		assert_int_equal(fill(&batches, now_ms), 0);
		assert_false(batches_hold_plain(&batches));
	}
	assert_int_equal(fill(&batches, 999), 0);
	/* Whatever the broker does. */
	batches_fill(&batches, 1000, true, false);
	assert_int_equal(batches.batch.n, 5);
	assert_true(batches_hold_plain(&batches));
	store(&batches, 1000);
	assert_false(batches_hold_plain(&batches));
	/* Those that come again wait for nothing that is forgotten. */
	add(&batches, PLAIN, 1100);
	batches_forget_plain(&batches);
	assert_int_equal(batches_wait_ms(&batches, 1100), -1);
	add(&batches, 10000, 1200);
	assert_int_equal(batches_wait_ms(&batches, 1200), 9800);
	batches_finish(&batches);
}

/* What is stored again waits for nothing, nor does what has waited meanwhile. */
static void test_what_has_failed_does_not_wait_again(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 0);
	for (int i = 0; i < 4; i++)
		add(&batches, 10000, 1);
	assert_int_equal(fill(&batches, 10000), 4);
	batches_begin(&batches, 10000);
	add(&batches, 10000, 10001);
	batches_end(&batches, 10002, -EBUSY, "locked");
	assert_int_equal(batches.batch.n, 2);
	assert_true(batches_due(&batches, 10502));
	store(&batches, 10502);
	/* The other half comes with what was queued behind it. */
	assert_int_equal(fill(&batches, 10502), 3);
	batches_begin(&batches, 10502);
	add(&batches, 10000, 10503);
	for (int64_t now_ms = 10502; now_ms < 30000; now_ms += 5000) {
		batches_end(&batches, now_ms, -ENOSPC, "full");
		batches_begin(&batches, now_ms + 5000);
	}
	batches_end(&batches, 30502, 0, NULL);
	assert_int_equal(fill(&batches, 30502), 1);
	batches_finish(&batches);
}

/* ---- a store that takes its time, a broker with a limit, what comes at random ---- */

#define SEED UINT64_C(20261130)
#define GATHER_MS 5 /* batches.c: under load */

struct world {
	struct batches batches;
	uint64_t random;
	int64_t now_ms, free_ms; /* the store is free from then on */
	int64_t begun_ms;	 /* the last commit */
	bool busy;
	size_t commits, stored, loaded;
	int64_t arrived_ms[4096]; /* of what is queued, as it came */
	int waits_ms[4096];
	size_t queued;
	/* A broker: plain messages that it has, those it may send without an answer. */
	size_t backlog, most, most_bytes, open, open_bytes, size;
	int64_t sends_ms; /* not before */
	int64_t round_trip_ms;
	int64_t second_ms; /* Nagle: the second packet waits for an acknowledgement of TCP's
			    */
};

static uint64_t below(struct world *w, uint64_t n)
{
	return random_below(&w->random, n);
}

/* Whether a commit is due: what the contract says, computed from all that is queued. */
static bool is_due(const struct world *w)
{
	int smallest = 60000;
	for (size_t i = 0; i < w->queued; i++)
		smallest = w->waits_ms[i] < smallest ? w->waits_ms[i] : smallest;
	return w->queued > 0 && w->now_ms - w->begun_ms >= smallest;
}

static void check_waits(const struct world *w)
{
	for (size_t i = 0; i < w->queued; i++)
		assert_true(w->now_ms < w->arrived_ms[i] + w->waits_ms[i]);
}

static void run_store(struct world *w, uint64_t commit_ms)
{
	if (w->busy && w->now_ms >= w->free_ms) {
		w->loaded = w->batches.batch.n;
		w->busy = false;
		w->stored += w->batches.batch.n;
		if (w->batches.plain_batched) {
			w->open = w->open_bytes = 0;
			w->sends_ms = w->now_ms + w->round_trip_ms;
		}
		assert_true(batches_end(&w->batches, w->now_ms, 0, NULL));
	}
	if (w->busy)
		return;
	if (fill(&w->batches, w->now_ms) == 0)
		return;
	assert_non_null(batches_begin(&w->batches, w->now_ms));
	w->busy = true;
	w->commits++;
	w->free_ms = w->now_ms + 1 + (int64_t)below(w, commit_ms);
}

/* Of ours only: a commit begins exactly when the contract says, while the store is free. */
static void test_random_waits(void **state)
{
	static const int kinds_ms[] = {0, 100, 1000, 2000, 10000};
	struct world w = {.random = SEED, .begun_ms = -100000};
	(void)state;
	batches_init(&w.batches, 1 << 20, 1000);
	size_t sent = 0;
	for (w.now_ms = 1; w.now_ms < 2000000; w.now_ms++) {
		/* Now few come and now many. */
		uint64_t one_in = 1 + (uint64_t)(w.now_ms / 50000 % 8) * 200;
		if (below(&w, one_in) == 0 && w.queued < LENGTH(w.waits_ms)) {
			int wait_ms = kinds_ms[1 + below(&w, LENGTH(kinds_ms) - 1)];
			wait_ms = below(&w, 50) == 0 ? 0 : wait_ms;
			w.arrived_ms[w.queued] = w.now_ms;
			w.waits_ms[w.queued++] = wait_ms;
			add(&w.batches, wait_ms, w.now_ms);
			sent++;
		}
		size_t before = w.commits;
		run_store(&w, 30);
		if (w.commits > before) {
			assert_true(is_due(&w));
			w.queued = 0;
			w.begun_ms = w.now_ms;
		} else if (!w.busy && w.loaded < 32) {
			assert_false(is_due(&w));
			check_waits(&w);
		} else if (!w.busy && w.now_ms > w.free_ms + GATHER_MS) {
			w.loaded = 0;
		}
	}
	assert_int_equal(sent, w.stored + w.queued + w.batches.batch.n);
	assert_true(w.commits > 1000);
	batches_finish(&w.batches);
}

/* The broker sends what it may. */
static void run_broker(struct world *w)
{
	while (w->backlog > 0 && w->open < w->most && w->open_bytes < w->most_bytes &&
		w->now_ms >= w->sends_ms && !batches_hold_plain(&w->batches)) {
		struct incoming *in = message(PLAIN);
		in->len = w->size > 0 ? 1 + below(w, w->size) : 0;
		if (w->open++ == 0)
			w->sends_ms = w->now_ms + w->second_ms;
		w->open_bytes += in->len;
		w->backlog--;
		batches_add(&w->batches, in, w->now_ms);
	}
}

/* @return how long until a backlog was stored, after a time when few messages came */
static int64_t drain(struct world w, size_t backlog, int64_t plain_wait_ms)
{
	batches_init(&w.batches, 1 << 20, plain_wait_ms);
	for (w.now_ms = 1; w.now_ms < 100000; w.now_ms++) {
		w.backlog += below(&w, 200) == 0;
		run_broker(&w);
		run_store(&w, 8);
	}
	w.backlog += backlog;
	while (w.backlog > 0 || w.open > 0) {
		w.now_ms++;
		run_broker(&w);
		run_store(&w, 8);
		assert_true(w.now_ms < 100000000);
	}
	batches_finish(&w.batches);
	return w.now_ms - 100000;
}

/* What nobody waits for may be gathered until PLAIN_WAIT is over once, at the end. */
static void assert_as_fast(const struct world *w)
{
	int64_t at_once_ms = drain(*w, 10000, 0), gathered_ms = drain(*w, 10000, 1000);
	assert_true(gathered_ms <= at_once_ms + at_once_ms / 10 + 1100);
}

/* A limit of the broker's that nobody told us makes nothing slower than without gathering.
 */
static void test_a_broker_at_its_limit_is_not_waited_for(void **state)
{
	static const size_t limits[] = {1, 2, 10, 20, 500};
	(void)state;
	for (size_t i = 0; i < LENGTH(limits); i++) {
		struct world w = {
			.random = SEED, .most = limits[i], .most_bytes = SIZE_MAX};
		for (w.round_trip_ms = 1; w.round_trip_ms < 50; w.round_trip_ms *= 6) {
			w.second_ms = 0;
			assert_as_fast(&w);
			w.second_ms = 40;
			assert_as_fast(&w);
		}
	}
	/* A limit of bytes, messages of any size. */
	const struct world w = {.random = SEED,
		.most = SIZE_MAX,
		.most_bytes = 2000,
		.size = 500,
		.round_trip_ms = 1};
	assert_as_fast(&w);
}

/* Without one, or far from it, one commit a PLAIN_WAIT is enough. */
static void test_plain_messages_that_trickle_are_gathered(void **state)
{
	struct world w = {.random = SEED, .most = 20, .most_bytes = SIZE_MAX};
	(void)state;
	batches_init(&w.batches, 1 << 20, 1000);
	for (w.now_ms = 1; w.now_ms < 1000000; w.now_ms++) {
		w.backlog += below(&w, 200) == 0;
		run_broker(&w);
		run_store(&w, 8);
	}
	assert_in_range(w.commits, 900, 1050);
	assert_in_range(w.stored, 4500, 5500);
	batches_finish(&w.batches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_after_a_pause_is_stored_at_once),
		cmocka_unit_test(test_the_smallest_wait_counts),
		cmocka_unit_test(test_some_wait_for_nothing),
		cmocka_unit_test(test_memory_is_not_gathered_beyond_half),
		cmocka_unit_test(test_plain_messages_wait_for_each_other),
		cmocka_unit_test(test_what_has_failed_does_not_wait_again),
		cmocka_unit_test(test_random_waits),
		cmocka_unit_test(test_a_broker_at_its_limit_is_not_waited_for),
		cmocka_unit_test(test_plain_messages_that_trickle_are_gathered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
