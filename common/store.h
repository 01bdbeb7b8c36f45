/*
 * The broker's database: opening it and its leases. ingest inserts, the pruner
 * deletes; both do so with statements of their own on the handle from here.
 */
#ifndef DP_STORE_H
#define DP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

/** What STORE_URL may be, when the value is none; else NULL. For config tables. */
const char *dp_check_store_url(const char *value);

/** Open the database at a checked STORE_URL; as dp_sqlite_open(). */
int dp_store_open(sqlite3 **out, const char *url);

struct dp_lease {
	const char *name;   /**< "plain", "prune" */
	const char *holder; /**< who asks */
	int64_t ttl_us;	    /**< how long it is good without being renewed */
	int64_t number;	    /**< of this holding, when held */
	bool held;
};

/**
 * Take a lease that is free or over, or renew one's own. In a transaction of its own.
 * @param now_us  wall clock; a holder's clock may differ by less than the ttl
 * @return 0 with lease->held saying who has it; otherwise as dp_sqlite_error(), with
 *         held as it was: who writes under a lease checks its number in the transaction
 */
int dp_lease_renew(sqlite3 *db, struct dp_lease *lease, int64_t now_us);

/** Give it up, so that the next one need not wait. @return as dp_sqlite_error() */
int dp_lease_release(sqlite3 *db, struct dp_lease *lease);

#endif
