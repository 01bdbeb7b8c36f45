/* A lease: what only one of several replicas may do, and until when. */
#ifndef DP_LEASE_H
#define DP_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct dp_lease {
	const char *name;   /**< "plain", "prune" */
	const char *holder; /**< who asks */
	int64_t ttl_us;	    /**< how long it is good without being renewed */
	int64_t number;	    /**< of this holding, when held */
	bool held;
	/* The rest is that of who renews it. */
	unsigned step; /**< of its byte lock */
	int lock_err;  /**< why the last renewal had no byte lock; 0: it had */
	/* Another's row and lock as they were seen, and since when by the boot clock; 0:
	 * not yet. */
	int64_t seen_number, seen_expires, seen_byte, seen_ns;
};

#endif
