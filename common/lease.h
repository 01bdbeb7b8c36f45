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
};

#endif
