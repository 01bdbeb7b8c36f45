#include "backoff.h"

void dp_backoff_init(struct dp_backoff *backoff)
{
	backoff->next_ms = DP_BACKOFF_FIRST_MS;
}

void dp_backoff_raise(struct dp_backoff *backoff, int64_t ms)
{
	if (backoff->next_ms < ms)
		backoff->next_ms = ms;
}

int64_t dp_backoff_wait(struct dp_backoff *backoff, int64_t up_ms, uint64_t *random)
{
	int64_t wait_ms = backoff->next_ms;
	/* What was raised above the limit is waited for, however long it was up before. */
	if (wait_ms <= DP_BACKOFF_LIMIT_MS && up_ms >= DP_BACKOFF_PROVEN_MS &&
		up_ms >= wait_ms)
		wait_ms = DP_BACKOFF_FIRST_MS;
	backoff->next_ms =
		wait_ms * 2 > DP_BACKOFF_LIMIT_MS ? DP_BACKOFF_LIMIT_MS : wait_ms * 2;
	return dp_jitter_ms(random, wait_ms);
}

int64_t dp_jitter_ms(uint64_t *random, int64_t ms)
{
	/* xorshift64 (Marsaglia 2003): only has to keep senders from moving in step. */
	uint64_t x = *random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*random = x;
	int64_t spread = ms / 2;
	return ms - ms / 4 + (spread > 0 ? (int64_t)(x >> 1) % spread : 0);
}
