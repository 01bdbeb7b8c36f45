/*
 * How long what has arrived waits for more, so that one commit stores it all. By the
 * leading edge: what comes after a pause is committed at once; what comes soon after a
 * commit, with all that comes until the smallest wait has passed since that commit began.
 * Pure: the loop's time is passed in.
 */
#ifndef INGEST_GATHERING_H
#define INGEST_GATHERING_H

#include "broker_limit.h"
#include "incoming.h"

struct gathering {
	int64_t plain_wait_ms; /**< of a plain message */
	int64_t begun_ms;      /**< when the last commit began */
	int64_t due_ms;	       /**< of what of ours is queued; INT64_MAX: nothing is */
	int64_t plain_due_ms;  /**< of what is queued of others */
	bool hasten;	       /**< what is queued waits for nothing */
	struct broker_limit limit;
};

void gathering_init(struct gathering *g, int64_t plain_wait_ms);

/** A message is queued. */
void gathering_add(struct gathering *g, const struct incoming *in, int64_t now_ms);

/** What is queued waits for nothing any more. */
void gathering_hasten(struct gathering *g);

/**
 * What is queued is taken, to be committed.
 * @param all  else what is left is due no later than it was
 */
void gathering_take(struct gathering *g, int64_t now_ms, bool all);

/** A commit begins. */
void gathering_begin(struct gathering *g, int64_t now_ms);

/** It is over: the broker may hear of it. */
void gathering_end(struct gathering *g, int64_t now_ms);

/** The plain messages that are queued are forgotten, the broker may be another one. */
void gathering_forget_plain(struct gathering *g);

/** When the messages of our own publishers that are queued want to be committed. */
int64_t gathering_due_ms(const struct gathering *g);

/**
 * When the gathering ends whatever else speaks for waiting: a plain message's time is up,
 * or the broker may be at its limit.
 */
int64_t gathering_end_ms(const struct gathering *g);

#endif
