/* Which database this is, a session with it, and the lease there. */
#ifndef PRUNER_SESSION_H
#define PRUNER_SESSION_H

#include "../prune_ops.h"

/**
 * As `lease` in ../prune_ops.h; connects first where there is no session.
 * @param now_us  not used: the database's clock decides
 * @return 0; -ENOTSUP the server is too old; -ENOENT there is no schema, or an older one;
 *         or an error. A new session that is of no use is closed
 */
int session_lease(void *store, struct dp_lease *lease, int64_t now_us, bool *replaced);

/** As `release` there. @return 0 or an error: then the lease ends with its time */
int session_release(void *store, struct dp_lease *lease);

#endif
