/*
 * A store as the loop sees it, whichever database it is. Each kind of store is a table of
 * operations, which the main.c of its program names. All calls are the loop's, and so are
 * all events.
 */
#ifndef INGEST_SINK_H
#define INGEST_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "counts.h"
#include "incoming.h"
#include "lease.h"

/** How a store is used; constant. */
struct sink_options {
	const char *url;
	size_t max_message_bytes; /**< larger messages are dead letters */
	int64_t dead_letters_max; /**< the oldest go beyond it */
	bool print;		  /**< one line a reading on stdout, once it is stored */
};

/** What a store is to do, in this order, and what came of it. Lives until `done`. */
struct sink_job {
	bool renew;	     /**< take or renew the lease */
	bool count_gaps;     /**< see `gaps` */
	struct queue *batch; /**< stored in one transaction, grouped by it; may be NULL */
	bool release;	     /**< give the lease up */

	/**
	 * The lease under which plain messages may be stored: when it has changed hands
	 * they are left out and lease->held becomes false.
	 */
	struct dp_lease *lease;
	struct results *results; /**< added to; to be answered when `stored` is 0 */
	int64_t now_us;		 /**< wall clock */

	/**
	 * 0 with lease->held saying who has it, or a negative errno; -EAGAIN it took too
	 * long to be of now_us: the next job is to renew it
	 */
	int renewed;
	uint64_t gaps; /**< of all streams, as they were counted last */
	/**
	 * 0, all of the batch is committed; or a negative errno, with nothing done:
	 * -ENOTCONN the database is away, which is logged; -EPROTO a newer version has
	 * changed it, logged: not to be tried again; -EDOM the database takes readings, but
	 * refuses something of this batch for what it is
	 */
	int stored;
	const char *why; /**< when it is none of these: in words, until the next job */
};

struct sink_events {
	void *data;
	void (*done)(void *data);  /**< the job is over; may come from within run() */
	void (*ready)(void *data); /**< the database is back: worth a job; may be early */
	/** It cannot be opened, or a newer version has changed it, logged: leave. */
	void (*outdated)(void *data);
};

/** An open store; the first member of what a kind of store keeps of it. */
struct sink {
	const struct sink_kind *kind;
	const char *name; /**< STORE_URL without a password, for the log */
	/** Which store it is (table `store`), hexadecimal; empty while nobody knows. */
	const char *id;
	const struct counts *counts; /**< since the start; to be read between jobs */
};

struct sink_kind {
	const char *service;			     /**< the program's name */
	const char *url_fallback;		     /**< STORE_URL unless it is set */
	const char *url_help;			     /**< of STORE_URL */
	const char *(*check_url)(const char *value); /**< as dp_option.check */

	/**
	 * Begin to open the database: events.ready() says when it is.
	 * @param now_us  wall clock
	 */
	struct sink *(*open)(uv_loop_t *loop, const struct sink_options *options,
		const struct sink_events *events, int64_t now_us);
	/** Begin a job, one at a time. */
	void (*run)(struct sink *sink, struct sink_job *job);
	/** The service stops: a job that waits for the database may not wait much longer.
	 */
	void (*hurry)(struct sink *sink);
	/** Close the handles; no job is under way. */
	void (*close)(struct sink *sink);
	/** When the loop has ended. */
	void (*free)(struct sink *sink);

	/** Why nothing can be stored just now, in words, or NULL. */
	const char *(*health)(const struct sink *sink);
};

#endif
