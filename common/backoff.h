/*
 * How long to wait before the next attempt to connect. Pure. A connection that is lost
 * soon after it was made counts as a failed attempt: a server that accepts and hangs up is
 * tried less and less often, like one that is away.
 */
#ifndef DP_BACKOFF_H
#define DP_BACKOFF_H

#include <stdint.h>

#define DP_BACKOFF_FIRST_MS 250
#define DP_BACKOFF_LIMIT_MS 10000
#define DP_BACKOFF_PROVEN_MS 5000 /**< a connection that lasted so long did not fail */

struct dp_backoff {
	int64_t next_ms; /**< without jitter */
};

void dp_backoff_init(struct dp_backoff *backoff);

/** The next attempt comes no sooner than in `ms`; it may be above the limit. */
void dp_backoff_raise(struct dp_backoff *backoff, int64_t ms);

/**
 * An attempt failed, or the connection that it made is lost.
 * @param up_ms   how long that connection lasted, 0: none was made
 * @param random  of the jitter, as in dp_jitter_ms()
 * @return how long to wait, in milliseconds
 */
int64_t dp_backoff_wait(struct dp_backoff *backoff, int64_t up_ms, uint64_t *random);

/**
 * A delay with jitter: within [3/4, 5/4) of `ms`.
 * @param random  state of the generator, never 0
 */
int64_t dp_jitter_ms(uint64_t *random, int64_t ms);

#endif
