/*
 * Where ingest stores, whichever database it is. A program is linked with one:
 * sink_sqlite.c on the work queue, or the files of postgres/ on the loop.
 */
#ifndef INGEST_SINK_H
#define INGEST_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "incoming.h"
#include "lease.h"

struct sink;

struct insert_options {
	const char *store_url;
	size_t max_message_bytes; /**< larger ones are dead letters */
	int64_t dead_letters_max; /**< the oldest go beyond it */
	bool print;		  /**< one line a reading on stdout, once it is stored */
};

/** What was done since the start; to be read between turns. */
struct insert_counts {
	uint64_t messages, readings, duplicates, dead_letters, lost, commits, later, ahead;
};

/** What is to be done, in this order, and what came of it. */
struct sink_turn {
	bool renew; /**< take or renew the lease */
	bool count; /**< count the gaps */
	struct queue
		*batch; /**< to be stored in one transaction, grouped by it; may be NULL */
	bool release;	/**< give the lease up */

	/**
	 * The lease under which plain messages may be stored: when it has changed hands
	 * they are left out and lease->held becomes false.
	 */
	struct dp_lease *lease;
	struct results *results; /**< added to; to be answered when `stored` is 0 */
	int64_t now_us;		 /**< wall clock */

	int renewed;   /**< 0 with lease->held saying who has it, or a negative errno */
	uint64_t gaps; /**< when they were asked for and could be counted */
	/**
	 * 0, all of the batch is committed; or a negative errno, with nothing done:
	 * -ENOTCONN the database is away, which is logged; -EPROTO a newer version has
	 * changed it, logged: not to be tried again; -EDOM the database takes readings, but
	 * refuses something of this batch for what it is
	 */
	int stored;
	const char *why; /**< when it is none of these: in words, until the next turn */
};

struct sink_events {
	void *data;
	void (*done)(void *data);  /**< the turn is over; from the loop */
	void (*ready)(void *data); /**< the database is back: worth a turn; may be early */
	/** It cannot be opened, or a newer version has changed it, logged: leave. */
	void (*outdated)(void *data);
};

/* For the table of settings. */
extern const char sink_service[];	       /**< the program's name */
extern const char sink_url_fallback[];	       /**< of STORE_URL */
extern const char sink_url_help[];	       /**< of STORE_URL */
const char *sink_check_url(const char *value); /**< what it may be, when it is not */

/**
 * @param now_us  wall clock
 * The database is opened from the loop: events.ready() says when.
 * @return 0 or a negative errno, logged, with nothing to be closed
 */
int sink_open(struct sink **out, uv_loop_t *loop, const struct insert_options *options,
	const struct sink_events *events, int64_t now_us);

/** Begin a turn, which lives until events.done(). One at a time. */
void sink_turn(struct sink *sink, struct sink_turn *turn);

/** The service stops: a turn that waits for the database may not wait much longer. */
void sink_hurry(struct sink *sink);

/** Close the handles; no turn is under way. sink_free() follows when the loop has ended. */
void sink_close(struct sink *sink);
void sink_free(struct sink *sink);

const struct insert_counts *sink_counts(const struct sink *sink);

/** Which store it is (table `store`), hexadecimal; empty while nobody knows. */
const char *sink_store(const struct sink *sink);

/** STORE_URL without a password, for the log. */
const char *sink_name(const struct sink *sink);

/** Why nothing can be stored just now, in words, or NULL. */
const char *sink_trouble(const struct sink *sink);

#endif
