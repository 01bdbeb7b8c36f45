/*
 * What the log says of dead letters: a line for each topic and reason, once an hour at
 * most, however many there are; of more topics than fit in the table one line for all. On
 * the thread of the store's transactions.
 */
#ifndef INGEST_DEAD_LOG_H
#define INGEST_DEAD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define DEAD_LOG_TOPICS 64
#define DEAD_LOG_EVERY_US INT64_C(3600000000)

struct dead_line {
	uint64_t key;	    /* of topic and reason */
	int64_t said_us;    /* wall clock of the last line */
	uint64_t new, more; /* in this transaction; since the last line */
	const char *reason; /* NULL: the entry is free */
	char topic[128];    /* cut */
};

/** Zeroed to begin with. The last line is for those that found no room. */
struct dead_log {
	struct dead_line lines[DEAD_LOG_TOPICS + 1];
	bool any;
};

/** A dead letter is part of the transaction. @param reason  a literal */
void dead_log_add(
	struct dead_log *log, const char *topic, const char *reason, int64_t now_us);

/** The transaction is committed: log what is due. */
void dead_log_commit(struct dead_log *log, int64_t now_us);

/** The transaction is undone. */
void dead_log_undo(struct dead_log *log);

#endif
