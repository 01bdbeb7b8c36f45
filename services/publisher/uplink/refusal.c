#include "refusal.h"

#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "log.h"

#define BATCH_LEAST 256 /* bytes: what is refused then is not refused for its size */
#define PAUSE_MS 1000
#define WAIT_FIRST_MS 5000
#define WAIT_LIMIT_MS 300000
#define QUOTA_EXCEEDED 0x97 /* MQTT 5 reason code */

void refusal_init(struct refusal *refusal)
{
	*refusal = (struct refusal){.limits = {REFUSAL_BATCH_BYTES, REFUSAL_BATCH_BYTES}};
}

size_t refusal_limit(const struct refusal *refusal, bool deflate)
{
	return refusal->limits[deflate];
}

void refusal_shrink(struct refusal *refusal, bool deflate, size_t len)
{
	size_t limit = len / 2 > BATCH_LEAST ? len / 2 : BATCH_LEAST;
	refusal->limits[deflate] = limit;
	dp_log(DP_LOG_WARN, "the centre's broker refuses messages of this size",
		"bytes=%zu next_bytes=%zu deflated=%d", len, limit, deflate);
}

static const char *refusal_name(int reason)
{
	switch (reason) {
	case REFUSAL_TOO_LARGE:
		return "packet too large";
	case REFUSAL_NOT_AUTHORIZED:
		return "not authorized";
	case QUOTA_EXCEEDED:
		return "quota exceeded";
	default:
		return "see MQTT 5, section 2.4";
	}
}

/* Nothing that is sent now would be taken: it is tried again, less and less often. */
void refusal_note(struct refusal *refusal, int reason, int64_t now_ms, uint64_t *random)
{
	if (now_ms < refusal->until_ms)
		return; /* another one of the same volley */
	if (refusal->reason != reason)
		dp_log(DP_LOG_ERROR,
			"the centre's broker refuses readings; they are kept and tried "
			"again: check its limits and its rights for this node, which "
			"`make provision-node` gives",
			"reason=0x%02x meaning=\"%s\"", (unsigned)reason,
			refusal_name(reason));
	snprintf(refusal->text, sizeof(refusal->text),
		"the centre's broker refuses readings: 0x%02x (%s)%s", (unsigned)reason,
		refusal_name(reason),
		reason == REFUSAL_NOT_AUTHORIZED
			? "; at the centre `make provision-node` gives a node its rights"
			: "");
	refusal->wait_ms = refusal->reason == 0 ? WAIT_FIRST_MS : 2 * refusal->wait_ms;
	if (refusal->wait_ms > WAIT_LIMIT_MS)
		refusal->wait_ms = WAIT_LIMIT_MS;
	refusal->reason = reason;
	refusal->until_ms = now_ms + dp_jitter_ms(random, refusal->wait_ms);
}

void refusal_forget_pause(struct refusal *refusal)
{
	refusal->until_ms = 0;
}

void refusal_over(struct refusal *refusal)
{
	if (refusal->reason != 0)
		dp_log(DP_LOG_INFO, "the centre's broker takes readings again", NULL);
	refusal->reason = 0;
	refusal->until_ms = 0;
}

const char *refusal_text(const struct refusal *refusal)
{
	return refusal->reason != 0 ? refusal->text : NULL;
}

/*
 * A PUBACK says no. Which of the messages under way it was about is not known: they come
 * back when their time is up, and nothing is sent until the answers to all of them must be
 * here. If one was too large, so is the largest of them, whichever was meant.
 */
void refusal_by_puback(struct refusal *refusal, int reason,
	const struct refusal_batch *largest, int64_t now_ms, uint64_t *random)
{
	if (now_ms < refusal->until_ms)
		return;
	if (reason == REFUSAL_TOO_LARGE && largest->count > 1 &&
		refusal->limits[largest->deflate] > BATCH_LEAST) {
		refusal_shrink(refusal, largest->deflate, largest->len);
		refusal->until_ms = now_ms + PAUSE_MS;
		return;
	}
	refusal_note(refusal, reason, now_ms, random);
}
