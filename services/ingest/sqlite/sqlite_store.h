/*
 * Storing messages exactly once in SQLite. Calls wait for the disk and run on the work
 * queue, one at a time.
 */
#ifndef INGEST_SQLITE_SQLITE_STORE_H
#define INGEST_SQLITE_SQLITE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "../sink.h"

struct sqlite_store;

/**
 * Open the store; a damaged file is set aside and a new one begun.
 * @param now_us  wall clock
 * @return 0 or as dp_store_open(), logged but for -EBUSY
 */
int sqlite_store_open(
	struct sqlite_store **out, const struct sink_options *options, int64_t now_us);
void sqlite_store_close(struct sqlite_store *store);

/**
 * The service stops: a file is not looked through to its end any more. The next start does
 * it again. May be called while another thread is in the store.
 */
void sqlite_store_hurry(struct sqlite_store *store);

/**
 * Whether a file that was taken for damaged is looked through just now, which takes
 * minutes. May be called while another thread is in the store.
 */
bool sqlite_store_is_looking(const struct sqlite_store *store);

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
int sqlite_store_commit(struct sqlite_store *store, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us);

/** What SQLite says of the last failure, for an errno that says nothing; or NULL. */
const char *sqlite_store_why(const struct sqlite_store *store);

/** Which store it is: dp_store.id. */
const char *sqlite_store_id(const struct sqlite_store *store);

const struct counts *sqlite_store_counts(const struct sqlite_store *store);

/**
 * How many gaps the streams have: runs of readings that are on their way, as far as is
 * known. Reads all intervals. @return as dp_sqlite_error()
 */
int sqlite_store_gaps(struct sqlite_store *store, uint64_t *gaps);

/**
 * As dp_lease_renew() and dp_lease_release(). -EAGAIN: a file was looked through first, so
 * `now_us` may be of minutes ago; to be called again with the time of then.
 */
int sqlite_store_lease(struct sqlite_store *store, struct dp_lease *lease, int64_t now_us);
int sqlite_store_release(struct sqlite_store *store, struct dp_lease *lease);

#endif
