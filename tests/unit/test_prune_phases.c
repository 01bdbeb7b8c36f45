/* The phases of a run, over a store of this file's. */
#include "retention-pruner/prune.h"
#include "support.h"

#include <errno.h>

#define SUBJECTS 3

static struct {
	struct job *job;
	enum phase seen[64]; /* of each step of the store's own */
	int n_seen, n_rewound;
	int subject;
	int counted[SUBJECTS];
	int parts;	 /* a subject is counted in so many */
	int fails;	 /* so many calls that count */
	bool size_jumps; /* there is too much, once */
} fake;

static struct policies policies = {
	.all = {.raw_us = 1000, .n = 1, .sizes = {{.size_us = 10, .age_us = 20}}}};
static struct policies without = {.all = {.raw_us = 1000}};

static int open_fake(void **store, const char *url, struct job *job)
{
	(void)url;
	fake.job = job;
	*store = &fake;
	return 0;
}

static void close_fake(void *store)
{
	(void)store;
}

static void begin(void *store)
{
	(void)store;
}

static void rewind_fake(void *store)
{
	(void)store;
	fake.n_rewound++;
	fake.subject = -1;
}

static int failed(void *store, int err)
{
	(void)store;
	return err;
}

static int look(void *store, struct last_run *last)
{
	(void)store;
	last->wall_us = 1;
	return 0;
}

static int next(void *store, struct subject *subject)
{
	(void)store;
	if (fake.subject + 1 == SUBJECTS)
		return 0;
	fake.subject++;
	*subject = (struct subject){.policy = &policies.all, .gone_us = 5};
	return 1;
}

static int count_due(void *store, int64_t from_us, int64_t until_us, int64_t *n)
{
	(void)store, (void)from_us, (void)until_us;
	if (fake.fails > 0 && fake.subject == 1) {
		fake.fails--;
		return -EBUSY;
	}
	*n = 1;
	return ++fake.counted[fake.subject] % fake.parts == 0;
}

static int count_kept(void *store, int64_t from_us, int64_t enough, int64_t *n)
{
	(void)store, (void)from_us;
	*n = enough;
	return 1;
}

static int note(void *store)
{
	(void)store;
	assert_true(fake.n_seen < 64);
	fake.seen[fake.n_seen++] = fake.job->phase;
	fake.job->rows = 2;
	return STEP_OVER;
}

static int size(void *store)
{
	note(store);
	if (!fake.size_jumps)
		return STEP_OVER;
	fake.size_jumps = false;
	return STEP_TO(PHASE_READINGS);
}

static const struct stride strides[PHASES];

/* Without whole days and without a vacuum. */
static const struct prune_ops ops = {
	.strides = strides,
	.open = open_fake,
	.close = close_fake,
	.begin = begin,
	.rewind = rewind_fake,
	.failed = failed,
	.look = look,
	.next = next,
	.count_due = count_due,
	.count_kept = count_kept,
	.step = {[PHASE_MARK] = note,
		[PHASE_COUNT] = note,
		[PHASE_LATE] = note,
		[PHASE_READINGS] = note,
		[PHASE_ROLLUPS] = note,
		[PHASE_STREAMS] = note,
		[PHASE_SIZE] = size,
		[PHASE_END] = note},
};

static struct prune *open_run(const struct prune_run *run)
{
	struct prune *prune = NULL;
	memset(&fake, 0, sizeof(fake));
	fake.parts = 1;
	assert_int_equal(prune_open(&prune, &ops, "anything"), 0);
	prune_begin(prune, run);
	return prune;
}

/* @return how many steps failed */
static int run_all(struct prune *prune)
{
	int64_t rows;
	bool done = false;
	int errors = 0;
	for (int i = 0; !done; i++) {
		assert_true(i < 100);
		errors += prune_step(prune, &rows, &done) != 0;
	}
	return errors;
}

static void expect_phases(const enum phase *phases, int n)
{
	assert_int_equal(fake.n_seen, n);
	for (int i = 0; i < n; i++)
		assert_int_equal(fake.seen[i], phases[i]);
}

static const struct prune_run usual = {.policies = &policies, .now_us = 10000};

static void test_what_a_store_does_not_do_is_passed_over(void **state)
{
	(void)state;
	static const enum phase phases[] = {PHASE_MARK, PHASE_COUNT, PHASE_LATE,
		PHASE_READINGS, PHASE_ROLLUPS, PHASE_STREAMS, PHASE_SIZE, PHASE_END};
	struct prune *prune = open_run(&usual);
	assert_int_equal(run_all(prune), 0);
	expect_phases(phases, 8);
	/* At the begin, and after each phase: three of looking and these eight. */
	assert_int_equal(fake.n_rewound, 1 + 3 + 8);
	assert_int_equal(prune_report(prune)->outcome, PRUNE_DID);
	prune_close(prune);
}

static void test_more_is_deleted_while_there_is_too_much(void **state)
{
	(void)state;
	static const enum phase phases[] = {PHASE_MARK, PHASE_COUNT, PHASE_LATE,
		PHASE_READINGS, PHASE_ROLLUPS, PHASE_STREAMS, PHASE_SIZE, PHASE_READINGS,
		PHASE_ROLLUPS, PHASE_STREAMS, PHASE_SIZE, PHASE_END};
	struct prune *prune = open_run(&usual);
	fake.size_jumps = true;
	assert_int_equal(run_all(prune), 0);
	expect_phases(phases, 12);
	prune_close(prune);
}

static void test_a_dry_run_looks_and_ends(void **state)
{
	(void)state;
	static const enum phase phases[] = {PHASE_END};
	struct prune_run run = usual;
	run.dry_run = true;
	struct prune *prune = open_run(&run);
	fake.parts = 4;
	assert_int_equal(run_all(prune), 0);
	expect_phases(phases, 1);
	assert_int_equal(prune_report(prune)->outcome, PRUNE_LOOKED);
	assert_int_equal(prune_report(prune)->readings, 4 * SUBJECTS);
	prune_close(prune);
}

static void test_what_could_not_be_looked_at_is_looked_at_again(void **state)
{
	(void)state;
	struct prune_run run = usual;
	run.dry_run = true;
	struct prune *prune = open_run(&run);
	fake.fails = 2;
	assert_int_equal(run_all(prune), 2);
	for (int i = 0; i < SUBJECTS; i++)
		assert_int_equal(fake.counted[i], 1);
	assert_int_equal(prune_report(prune)->readings, SUBJECTS);
	prune_close(prune);
}

static void test_nothing_is_counted_without_rollups(void **state)
{
	(void)state;
	static const enum phase phases[] = {PHASE_MARK, PHASE_READINGS, PHASE_ROLLUPS,
		PHASE_STREAMS, PHASE_SIZE, PHASE_END};
	struct prune_run run = usual;
	run.policies = &without;
	struct prune *prune = open_run(&run);
	assert_int_equal(run_all(prune), 0);
	expect_phases(phases, 6);
	prune_close(prune);
}

static void test_a_step_says_how_many_rows_it_deleted(void **state)
{
	(void)state;
	int64_t rows, all = 0;
	bool done = false;
	struct prune *prune = open_run(&usual);
	while (!done) {
		assert_int_equal(prune_step(prune, &rows, &done), 0);
		all += rows;
	}
	assert_int_equal(all, 2 * fake.n_seen);
	prune_close(prune);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_store_does_not_do_is_passed_over),
		cmocka_unit_test(test_more_is_deleted_while_there_is_too_much),
		cmocka_unit_test(test_a_dry_run_looks_and_ends),
		cmocka_unit_test(test_what_could_not_be_looked_at_is_looked_at_again),
		cmocka_unit_test(test_nothing_is_counted_without_rollups),
		cmocka_unit_test(test_a_step_says_how_many_rows_it_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
