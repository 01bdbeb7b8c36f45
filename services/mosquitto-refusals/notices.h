/* Who was refused what, and when the log said so last. Pure; a fixed amount of memory. */
#ifndef REFUSALS_NOTICES_H
#define REFUSALS_NOTICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum action {
	ACTION_PUBLISH,
	ACTION_SUBSCRIBE,
	ACTION_UNSUBSCRIBE,
	ACTION_RECEIVE,
	ACTION_LOGIN,
	ACTIONS
};

#define NOTICE_WHO_SIZE 64
#define NOTICE_FIELDS_SIZE 640
#define NOTICES_MAX 64

/* The lines about one who is refused one action. */
struct notice {
	bool used;
	enum action action;
	/* Longer names are cut, and those that begin alike share their lines. */
	char who[NOTICE_WHO_SIZE];
	/* Of the last refusal, as the log shows them. */
	char fields[NOTICE_FIELDS_SIZE];
	int64_t said_ms;
	/* Refusals since the last line. */
	uint64_t unsaid;
};

/* All zero but for the period is a good beginning. */
struct notices {
	int64_t period_ms;
	struct notice own[NOTICES_MAX];
	/* Of those who came when all of `own` were in use: together, for each action. */
	struct notice others[ACTIONS];
};

/**
 * Note a refusal. The first of a name and an action is to be said at once, what follows
 * within the period only counts. When 64 have lines of their own, all others share those of
 * `others`; a place becomes free once a whole period has brought nothing new.
 * @param who     whose lines they are
 * @param fields  what a line about it would show; cut at NOTICE_FIELDS_SIZE - 1
 * @return whether to say it now
 */
bool notices_add(struct notices *notices, enum action action, const char *who,
	const char *fields, int64_t now_ms);

/**
 * Those whose period is over and who were refused more since. Call until it returns NULL;
 * INT64_MAX for now_ms returns all.
 * @param count  how many refusals the line is about
 * @return one to be said now, which counts as said; valid until the next call
 */
const struct notice *notices_due(struct notices *notices, int64_t now_ms, uint64_t *count);

/** Whether its line is about several who share it. */
bool notices_shared(const struct notices *notices, const struct notice *notice);

#endif
