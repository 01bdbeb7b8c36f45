/*
 * Whose turn it is in a database file, by the row of a lease and the lock of its holder.
 * Pure. PostgreSQL decides by itself.
 */
#ifndef DP_LEASE_TURN_H
#define DP_LEASE_TURN_H

#include "lease.h"

/**
 * `expires` of a row whose holder has locked a byte (byte_lock.h): until that is free or
 * stands still. A holder without such a lock writes a time, and another one at each
 * renewal, as all versions before did; what they do with this value: README.md.
 */
#define DP_LEASE_LOCKED INT64_MAX

/** A lease as the store has it. */
struct dp_lease_row {
	bool there;
	bool ours;  /**< the holder bears our name */
	bool whole; /**< its numbers are numbers */
	int64_t number, expires;
	int64_t byte; /**< dp_byte_look() of this number */
};

enum dp_lease_turn {
	DP_LEASE_OURS,	/**< we hold it */
	DP_LEASE_FREE,	/**< nobody does, or its time is over */
	DP_LEASE_OTHERS /**< somebody else does */
};

/**
 * Whose turn it is. Notes in the lease what it has seen.
 * @param now_us   wall clock
 * @param boot_ns  clock since the boot, above 0
 */
enum dp_lease_turn dp_lease_judge(struct dp_lease *lease, const struct dp_lease_row *row,
	int64_t now_us, int64_t boot_ns);

/** What the holder writes into `expires`; the same again: it need not be written. */
int64_t dp_lease_expires(
	const struct dp_lease *lease, const struct dp_lease_row *row, int64_t now_us);

#endif
