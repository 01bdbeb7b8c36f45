/*
 * Storing messages exactly once in SQLite. Calls wait for the disk and run on the work
 * queue, one at a time.
 */
#ifndef INGEST_INSERT_H
#define INGEST_INSERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "incoming.h"
#include "sink.h"
#include "store.h"

struct insert;

/**
 * Open the store; a damaged file is set aside and a new one begun.
 * @param now_us  wall clock
 * @return 0 or as dp_store_open(), logged but for -EBUSY
 */
int insert_open(struct insert **out, const struct insert_options *options, int64_t now_us);
void insert_close(struct insert *insert);

/**
 * Store a list of messages in one transaction: all of it is committed, or nothing.
 * @param fence    the lease under which plain messages may be stored; when it has
 *                 changed hands they are left out and fence->held becomes false
 * @param results  added to; to be answered when this returns 0
 * @param now_us   wall clock
 * @return 0 or a negative errno as dp_sqlite_error(), with nothing done;
 *         -EPROTO a newer version has changed the database: not to be tried again;
 *         -EDOM it takes readings, but refuses something of these for what it is
 */
int insert_commit(struct insert *insert, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us);

/** What SQLite says of the last failure, for an errno that says nothing; or NULL. */
const char *insert_why(const struct insert *insert);

/** Which store it is: dp_store.id. */
const char *insert_store(const struct insert *insert);

const struct insert_counts *insert_counts(const struct insert *insert);

/**
 * How many gaps the streams have: runs of readings that are on their way, as far as is
 * known. Reads all intervals. @return as dp_sqlite_error()
 */
int insert_gaps(struct insert *insert, uint64_t *gaps);

/** As dp_lease_renew() and dp_lease_release(). */
int insert_lease(struct insert *insert, struct dp_lease *lease, int64_t now_us);
int insert_release(struct insert *insert, struct dp_lease *lease);

#endif
