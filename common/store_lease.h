/* Leases in the broker's database: a row that says who, a lock that says whether it lives.
 */
#ifndef DP_STORE_LEASE_H
#define DP_STORE_LEASE_H

#include "lease.h"
#include "store.h"

/**
 * Take a lease that is free or over, or renew one's own. In a transaction of its own, which
 * writes only when the lease changes hands: renewing moves a lock (byte_lock.h) in the file
 * beside the database. Where the kernel gives no such lock the row is renewed instead.
 * @param now_us  wall clock; a holder's clock may differ by less than the ttl
 * @return 0 with lease->held saying who has it; otherwise as dp_store_begin(), with
 *         held as it was: README.md says how those who write under a lease make sure
 */
int dp_lease_renew(struct dp_store *store, struct dp_lease *lease, int64_t now_us);

/** Give it up, so that the next one need not wait. @return as dp_store_begin() */
int dp_lease_release(struct dp_store *store, struct dp_lease *lease);

#endif
