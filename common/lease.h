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
	/* dp_lease_renew()'s own: another's row as it was seen, and since when. */
	int64_t seen_number, seen_expires, seen_ns;
};

#endif
