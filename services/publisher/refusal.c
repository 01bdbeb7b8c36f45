/*
 * What the centre's broker refuses with a reason: a batch that is too large is cut smaller,
 * anything else is kept, said, and tried again less and less often.
 */
#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "log.h"
#include "relay.h"

#define BATCH_LEAST 256 /* bytes: what is refused then is not refused for its size */
#define PAUSE_MS 1000
#define WAIT_FIRST_MS 5000
#define WAIT_LIMIT_MS 300000
#define NOT_AUTHORIZED 0x87 /* MQTT 5 reason codes */
#define QUOTA_EXCEEDED 0x97

void refusal_shrink(struct relay *r, size_t len)
{
	r->batch_limit = len / 2 > BATCH_LEAST ? len / 2 : BATCH_LEAST;
	r->largest = 0;
	r->most = 0;
	dp_log(DP_LOG_WARN, "the centre's broker refuses messages of this size",
		"bytes=%zu next_bytes=%zu", len, r->batch_limit);
}

static const char *refusal_name(int reason)
{
	switch (reason) {
	case REFUSAL_TOO_LARGE:
		return "packet too large";
	case NOT_AUTHORIZED:
		return "not authorized";
	case QUOTA_EXCEEDED:
		return "quota exceeded";
	default:
		return "see MQTT 5, section 2.4";
	}
}

/* Nothing that is sent now would be taken: it is tried again, less and less often. */
void refusal_note(struct relay *r, int reason)
{
	if (relay_now(r) < r->refused_until_ms)
		return; /* another one of the same volley */
	if (r->refusal != reason)
		dp_log(DP_LOG_ERROR,
			"the centre's broker refuses readings; they are kept and tried "
			"again, check its access list and its limits for this node",
			"reason=0x%02x meaning=\"%s\"", (unsigned)reason,
			refusal_name(reason));
	snprintf(r->refusal_text, sizeof(r->refusal_text),
		"the centre's broker refuses readings: 0x%02x (%s)", (unsigned)reason,
		refusal_name(reason));
	r->refused_wait_ms = r->refusal == 0 ? WAIT_FIRST_MS : 2 * r->refused_wait_ms;
	if (r->refused_wait_ms > WAIT_LIMIT_MS)
		r->refused_wait_ms = WAIT_LIMIT_MS;
	r->refusal = reason;
	r->refused_until_ms =
		relay_now(r) + dp_jitter_ms(&r->delivery.random, r->refused_wait_ms);
}

void refusal_over(struct relay *r)
{
	if (r->refusal != 0)
		dp_log(DP_LOG_INFO, "the centre's broker takes readings again", NULL);
	r->refusal = 0;
	r->refused_until_ms = 0;
}

const char *refusal_text(const struct relay *r)
{
	return r->refusal != 0 ? r->refusal_text : NULL;
}

/*
 * A PUBACK says no. Which of the messages under way it was about is not known: they come
 * back when their time is up, and nothing is sent until the answers to all of them must be
 * here.
 */
void refusal_by_puback(void *data, const char *topic, int reason)
{
	struct relay *r = data;
	size_t len = strlen(topic), suffix = strlen("/batch");
	if (len < suffix || strcmp(topic + len - suffix, "/batch") != 0) {
		dp_log(DP_LOG_WARN, "the centre's broker refuses a message",
			"topic=\"%s\" reason=0x%02x meaning=\"%s\"", topic,
			(unsigned)reason, refusal_name(reason));
		return;
	}
	if (relay_now(r) < r->refused_until_ms)
		return;
	if (reason == REFUSAL_TOO_LARGE && r->most > 1 && r->batch_limit > BATCH_LEAST) {
		refusal_shrink(r, r->largest);
		r->refused_until_ms = relay_now(r) + PAUSE_MS;
		return;
	}
	refusal_note(r, reason);
}
