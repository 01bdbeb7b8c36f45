/* Which database this is, a session with it, and the lease there. */
#ifndef PRUNER_SESSION_H
#define PRUNER_SESSION_H

#include "../prune_ops.h"

/* As in ../prune_ops.h. */
int session_lease(void *store, struct dp_lease *lease, int64_t now_us, bool *replaced);
int session_release(void *store, struct dp_lease *lease);

#endif
