/*
 * What a transaction does outside the database, and only once it is committed: counts,
 * lines on stdout, lines in the log about dead letters. A store has one, on the thread
 * that its transactions run on.
 */
#ifndef INGEST_EFFECTS_H
#define INGEST_EFFECTS_H

#include "counts.h"
#include "dead_log.h"
#include "printed.h"

/** All zero at first. */
struct effects {
	struct counts total, pending; /**< committed; of the transaction */
	struct printed printed;
	struct dead_log dead_log;
	uint64_t untrimmed; /**< dead letters since the oldest were last deleted */
};

/** A transaction begins; what the one before left undone is forgotten. */
void effects_begin(struct effects *effects);

/**
 * Whether a transaction, whose messages are all taken in, is to delete the oldest dead
 * letters. Not for each new one: sorting them all is slow when many are kept.
 * @param most  how many are kept
 */
bool effects_trim_due(struct effects *effects, int64_t most);

/** The transaction is committed: count, print and log. @param now_us  wall clock */
void effects_commit(struct effects *effects, int64_t now_us);

/** Free what it holds. */
void effects_finish(struct effects *effects);

#endif
