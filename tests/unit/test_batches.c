#include "ingest/batches.h"
#include "support.h"

#define LIMIT 65536

static const char readings[] =
	"[{\"bn\":\"climate/\",\"bt\":1732300000,\"n\":\"temperature\",\"v\":1}]";

static void add(struct batches *batches, bool plain)
{
	const struct dp_identity identity = {
		.stream = {{1}}, .first = 1, .count = 1, .clock = DP_CLOCK_SYNCED};
	struct dp_identity_text text;
	dp_identity_encode(&identity, &text);
	const struct dp_bus_message message = {.topic = plain ? "/data/n" : "/data/n/batch",
		.payload = readings,
		.len = strlen(readings),
		.properties = plain ? NULL : text.properties,
		.n_properties = plain ? 0 : text.n};
	struct condenser condenser = {.most = LIMIT};
	batches_add(batches,
		incoming_copy(&message, plain, "/data", 1, DP_CLOCK_SYNCED, &condenser), 0);
	condenser_finish(&condenser);
}

/* Begin with so many messages, all of them in a batch that a job has. */
static void begin(struct batches *batches, size_t n)
{
	batches_init(batches, LIMIT, 0);
	for (size_t i = 0; i < n; i++)
		add(batches, false);
	batches_fill(batches, 0, false, false);
	assert_int_equal(batches_begin(batches, 0)->n, n);
}

static void test_one_message_is_stored_at_once(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 1);
	add(&batches, false);
	assert_true(batches_end(&batches, 1, 0, NULL));
	assert_null(batches.batch.first);
	batches_fill(&batches, 1, false, false);
	assert_true(batches_due(&batches, 1));
	batches_finish(&batches);
}

static void test_under_load_a_batch_waits_for_more(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 32);
	add(&batches, false);
	batches_end(&batches, 100, 0, NULL);
	batches_fill(&batches, 100, false, false);
	assert_null(batches.batch.first);
	assert_int_equal(batches_wait_ms(&batches, 101), 4);
	batches_fill(&batches, 104, false, true);
	assert_int_equal(batches.batch.n, 1);
	batches_finish(&batches);
	/* Its time is over; or the broker is behind. */
	begin(&batches, 32);
	add(&batches, false);
	batches_end(&batches, 100, 0, NULL);
	batches_fill(&batches, 105, true, false);
	assert_null(batches.batch.first);
	batches_fill(&batches, 105, false, false);
	assert_int_equal(batches.batch.n, 1);
	batches_finish(&batches);
}

static void test_a_plain_message_does_not_wait(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 32);
	add(&batches, true);
	assert_true(batches_expect_plain(&batches));
	batches_end(&batches, 100, 0, NULL);
	batches_fill(&batches, 100, true, false);
	assert_int_equal(batches.batch.n, 1);
	assert_false(batches_expect_plain(&batches));
	batches_finish(&batches);
}

static void test_failures_wait_longer_and_longer(void **state)
{
	static const int64_t waits_ms[] = {500, 1000, 2000, 4000, 8000, 10000, 10000};
	struct batches batches;
	(void)state;
	begin(&batches, 4);
	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
		assert_true(batches_end(&batches, 0, -ENOSPC, "full"));
		assert_int_equal(batches.last_error, -ENOSPC);
		assert_int_equal(batches_wait_ms(&batches, 0), waits_ms[i]);
		assert_false(batches_due(&batches, waits_ms[i] - 1));
		assert_true(batches_due(&batches, waits_ms[i]));
		assert_int_equal(batches_begin(&batches, 0)->n, 4);
	}
	batches_end(&batches, 0, -ENOSPC, "full");
	batches_retry_now(&batches);
	assert_true(batches_due(&batches, 0));
	batches_begin(&batches, 0);
	batches_end(&batches, 0, -ENOSPC, "full");
	assert_int_equal(batches_wait_ms(&batches, 0), 500);
	batches_finish(&batches);
}

static void test_a_batch_that_is_too_large_is_halved(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 5);
	size_t bytes = batches_bytes(&batches);
	batches_end(&batches, 0, -EBUSY, "locked");
	assert_int_equal(batches.batch.n, 2);
	assert_int_equal(batches.queue.n, 3);
	assert_int_equal(batches_bytes(&batches), bytes);
	/* It grows again by what succeeds. */
	size_t before = batches.batch_bytes;
	batches_begin(&batches, 500);
	batches_end(&batches, 500, 0, NULL);
	assert_int_equal(batches.batch_bytes, 2 * before);
	/* So is one that has failed slowly, but no other. */
	batches_fill(&batches, 500, false, false);
	batches_begin(&batches, 500);
	batches_end(&batches, 501, -EIO, "broken");
	assert_int_equal(batches.batch.n, 3);
	batches_begin(&batches, 1000);
	batches_end(&batches, 6000, -EIO, "broken");
	assert_int_equal(batches.batch.n, 1);
	batches_finish(&batches);
}

/* Messages that the database refuses, of three: the one in the middle. */
static void test_a_refused_message_is_singled_out(void **state)
{
	struct batches batches;
	const struct incoming *bad;
	size_t stored = 0, jobs = 1;
	(void)state;
	begin(&batches, 3);
	bad = batches.batch.first->next;
	while (bad->refusals == 0) {
		bool has_bad = false;
		for (const struct incoming *in = batches.batch.first; in; in = in->next)
			has_bad = has_bad || in == bad;
		stored += has_bad ? 0 : batches.batch.n;
		assert_int_equal(
			batches_end(&batches, 0, has_bad ? -EDOM : 0, "words"), !has_bad);
		assert_int_equal(batches.last_error, 0);
		batches_fill(&batches, 0, false, false);
		assert_true(batches_due(&batches, 0));
		batches_begin(&batches, 0);
		assert_true(++jobs < 10);
	}
	assert_int_equal(stored, 1);
	assert_ptr_equal(batches.batch.first, bad);
	assert_string_equal(bad->refused, REFUSED ": words");
	/* Its dead letter is refused, the one that touches no stream as well. */
	batches_end(&batches, 0, -EDOM, "words");
	assert_int_equal(bad->refusals, 2);
	batches_begin(&batches, 0);
	assert_false(batches_end(&batches, 0, -EDOM, "words"));
	assert_null(batches.batch.first);
	assert_false(batches.refused);
	/* It waits nowhere: others would wait with it. */
	struct incoming *hopeless = batches_hopeless(&batches);
	assert_ptr_equal(hopeless, bad);
	assert_null(batches_hopeless(&batches));
	incoming_free(hopeless);
	batches_finish(&batches);
}

/* Replicas may have met: the same batch may be taken now. */
static void test_a_refused_batch_is_tried_again_as_it_was(void **state)
{
	struct batches batches;
	(void)state;
	begin(&batches, 3);
	for (int i = 0; i < 2; i++) {
		size_t n = batches.batch.n;
		/* It is due at once, whatever it waited for before. */
		batches_end(&batches, 0, -ENOSPC, "full");
		assert_false(batches_due(&batches, 0));
		batches_begin(&batches, 0);
		assert_false(batches_end(&batches, 0, -EDOM, "words"));
		assert_int_equal(batches.batch.n, n);
		assert_true(batches_due(&batches, 0));
		batches_begin(&batches, 0);
		batches_end(&batches, 0, 0, NULL);
		add(&batches, false);
		add(&batches, false);
		batches_fill(&batches, 0, false, false);
		batches_begin(&batches, 0);
	}
	batches_finish(&batches);
}

static void test_plain_messages_are_given_up(void **state)
{
	struct batches batches;
	(void)state;
	for (int err = -EIO; err <= 0; err += EIO) {
		batches_init(&batches, LIMIT, 0);
		add(&batches, true);
		add(&batches, false);
		batches_fill(&batches, 0, false, false);
		batches_begin(&batches, 0);
		add(&batches, true);
		batches_forget_plain(&batches);
		assert_int_equal(batches.queue.n, 0);
		assert_int_equal(batches.batch.n, 2); /* a job has them */
		batches_end(&batches, 0, err, "broken");
		assert_int_equal(batches.batch.n, err != 0);
		batches_finish(&batches);
	}
	/* No job has them. */
	batches_init(&batches, LIMIT, 0);
	add(&batches, true);
	batches_fill(&batches, 0, false, false);
	batches_forget_plain(&batches);
	assert_int_equal(batches_bytes(&batches), 0);
	assert_null(batches_begin(&batches, 0));
	batches_finish(&batches);
}

static void test_memory_has_a_limit(void **state)
{
	struct batches batches;
	(void)state;
	batches_init(&batches, LIMIT, 0);
	while (!batches_full(&batches))
		add(&batches, false);
	size_t n = batches.queue.n;
	batches_fill(&batches, 0, false, false);
	/* A batch is half of it at most, but for its last message. */
	assert_int_equal(batches.batch.n, (n + 1) / 2);
	assert_true(batches_full(&batches));
	batches_begin(&batches, 0);
	batches_end(&batches, 0, 0, NULL);
	assert_false(batches_full(&batches));
	batches_finish(&batches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_message_is_stored_at_once),
		cmocka_unit_test(test_under_load_a_batch_waits_for_more),
		cmocka_unit_test(test_a_plain_message_does_not_wait),
		cmocka_unit_test(test_failures_wait_longer_and_longer),
		cmocka_unit_test(test_a_batch_that_is_too_large_is_halved),
		cmocka_unit_test(test_a_refused_message_is_singled_out),
		cmocka_unit_test(test_a_refused_batch_is_tried_again_as_it_was),
		cmocka_unit_test(test_plain_messages_are_given_up),
		cmocka_unit_test(test_memory_has_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
