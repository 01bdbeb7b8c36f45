#include "broker_limit.h"

#define LONG_AGO (INT64_MIN / 2)
/* A broker that may send more does so within this; TCP may delay it by 40 ms. */
#define QUIET_MS 50
#define QUIET_GAPS 8 /* so many times as long as between two messages */
#define PROMPT_QUIETS 2
#define STALLS 2
#define AT_LIMIT_MS 2000   /* for so long nothing is gathered, and at least for */
#define AT_LIMIT_QUIETS 32 /* so many times as long as we waited in vain */

void broker_limit_init(struct broker_limit *limit, int64_t longest_ms)
{
	*limit = (struct broker_limit){.longest_ms = longest_ms,
		.acknowledged_ms = LONG_AGO,
		.vain_ms = -1,
		.until_ms = LONG_AGO};
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/*
 * We waited for more in vain, then acknowledged, and more came at once: the broker may have
 * been at its limit. Twice in a row is taken for a proof: nothing is gathered for a while.
 */
static void receive_first(struct broker_limit *limit, int64_t now_ms)
{
	limit->first_ms = now_ms;
	if (limit->vain_ms < 0)
		return;
	bool prompt = now_ms - limit->acknowledged_ms <= PROMPT_QUIETS * limit->vain_ms;
	limit->stalls = prompt ? limit->stalls + 1 : 0;
	if (limit->stalls >= STALLS)
		limit->until_ms =
			now_ms + later(AT_LIMIT_MS, AT_LIMIT_QUIETS * limit->vain_ms);
	limit->vain_ms = -1;
}

void broker_limit_receive(struct broker_limit *limit, size_t bytes, int64_t now_ms)
{
	if (limit->n == 0)
		receive_first(limit, now_ms);
	limit->last_ms = now_ms;
	limit->n++;
	limit->bytes += bytes;
	limit->most = larger(limit->most, limit->n);
	limit->most_bytes = larger(limit->most_bytes, limit->bytes);
	limit->largest_bytes = larger(limit->largest_bytes, bytes);
}

/* It has sent more than this without an acknowledgement, so it is at no limit. */
static bool may_send(const struct broker_limit *limit)
{
	return limit->n < limit->most &&
	       limit->bytes + limit->largest_bytes <= limit->most_bytes;
}

/* Between two messages, while the broker was free to send. */
static int64_t gap_ms(const struct broker_limit *limit)
{
	int64_t ms = limit->n == 1
			     ? limit->first_ms - limit->acknowledged_ms
			     : (limit->last_ms - limit->first_ms) / (int64_t)(limit->n - 1);
	return ms < limit->longest_ms ? ms : limit->longest_ms;
}

int64_t broker_limit_quiet_ms(const struct broker_limit *limit)
{
	if (limit->n == 0 || may_send(limit))
		return INT64_MAX;
	return limit->last_ms + later(QUIET_MS, QUIET_GAPS * gap_ms(limit));
}

void broker_limit_take(struct broker_limit *limit, int64_t now_ms, bool all)
{
	int64_t quiet_ms = broker_limit_quiet_ms(limit);
	if (now_ms >= quiet_ms)
		limit->vain_ms = quiet_ms - limit->last_ms;
	if (all)
		limit->n = limit->bytes = 0;
}

void broker_limit_acknowledge(struct broker_limit *limit, int64_t now_ms)
{
	limit->acknowledged_ms = now_ms;
}

void broker_limit_forget(struct broker_limit *limit)
{
	broker_limit_init(limit, limit->longest_ms);
}

bool broker_limit_reached(const struct broker_limit *limit, int64_t now_ms)
{
	return now_ms < limit->until_ms;
}
