/*
 * What a store does for a run. There are two: sqlite/sqlite_ops.c and
 * postgres/postgres_ops.c; a main.c names one of them. Types only.
 *
 * All calls but `hurry` are made on the work queue, one at a time. What returns int returns
 * 0, or what is said here, or a negative errno; then nothing of it is done.
 */
#ifndef PRUNER_PRUNE_OPS_H
#define PRUNER_PRUNE_OPS_H

#include "job.h"
#include "lease.h"

/** What is known of the last run. */
struct last_run {
	int64_t wall_us, boot_us; /**< when it was; 0: there was none */
	char boot_id[JUMP_BOOT_MAX];
	int64_t newest_us; /**< of what is stored; 0: there is nothing */
};

/** What is looked at at once: readings or rollups that have an age in common. */
struct subject {
	const struct policy *policy;
	int64_t size_us; /**< of rollups; 0 for readings */
	int64_t gone_us; /**< a run that was due now would delete what is before this */
};

struct prune_ops {
	/* For the table of settings: the program's name, and about STORE_URL. */
	const char *service, *url_fallback, *url_help;
	/** What a setting may be, when it is not this; else NULL. */
	const char *(*check_url)(const char *value);
	const char *(*check_min_free)(int64_t bytes);
	/** PHASES of them: what a step does at first, at least and at most. */
	const struct stride *strides;

	/** As prune_open() and so on, which are in prune.h. `job` outlives the store. */
	int (*open)(void **store, const char *url, struct job *job);
	void (*close)(void *store);
	/** From the loop, also while another call is under way. May be NULL. */
	void (*hurry)(void *store);
	/** Of the last call, or NULL. May itself be NULL. */
	const char *(*why)(const void *store);
	/** @param replaced  set to true when the store is another than before */
	int (*lease)(void *store, struct dp_lease *lease, int64_t now_us, bool *replaced);
	int (*release)(void *store, struct dp_lease *lease);
	/** May be NULL. */
	int (*checkpoint)(void *store);

	/** A run begins. */
	void (*begin)(void *store);
	/** A phase begins: from the first sensor again. */
	void (*rewind)(void *store);
	/** A step has failed so. @return 0 to go on at once, or the error to hand up */
	int (*failed)(void *store, int err);

	/** Read the last run, tell the policies which sensors there are, begin the report.
	 */
	int (*look)(void *store, struct last_run *last);
	/** Take the next subject. @return 1; 0 there is none */
	int (*next)(void *store, struct subject *subject);
	/** Of it, how many are in a span of time. @return 1 all of it; 0 call again for
	 * more */
	int (*count_due)(void *store, int64_t from_us, int64_t until_us, int64_t *n);
	/** How many are not older, at most `enough`. @return 0 or 1 */
	int (*count_kept)(void *store, int64_t from_us, int64_t enough, int64_t *n);

	/**
	 * One step of each phase from PHASE_MARK to PHASE_END. @return an enum step
	 * NULL: the store has no such phase.
	 */
	int (*step[PHASES])(void *store);
};

#endif
