/*
 * What the centre's broker refuses with a reason: a batch that is too large is cut smaller,
 * anything else is kept, said, and tried again less and less often. Given the time, and
 * silent but for the log.
 */
#ifndef PUBLISHER_REFUSAL_H
#define PUBLISHER_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFUSAL_BATCH_BYTES ((size_t)128 << 10)
#define REFUSAL_NOT_AUTHORIZED 0x87 /* MQTT 5 reason codes */
#define REFUSAL_TOO_LARGE 0x95	    /* packet too large */

/** How large batches may be that go as they are, or deflated; in bytes before that. */
struct refusal_size {
	size_t limit;	/**< shrinks when the centre takes smaller messages only */
	size_t largest; /**< sent since it last shrank */
	uint32_t most;	/**< readings in one of them */
};

/** Only refusal.c writes it. */
struct refusal {
	struct refusal_size sizes[2]; /**< by whether they are to be deflated */
	bool deflate;		      /**< the last one was */
	int reason;	  /**< batches are refused for: an MQTT 5 reason, 0 none are */
	int64_t until_ms; /**< nothing is sent before */
	int64_t wait_ms;
	char text[160];
};

void refusal_init(struct refusal *refusal);

/** How many bytes the next batch may have before it is deflated, if it is to be. */
size_t refusal_limit(const struct refusal *refusal, bool deflate);

/** A batch of that many bytes, before it is deflated, and readings was sent. */
void refusal_sent(struct refusal *refusal, bool deflate, size_t len, uint32_t count);

/** One of `len` bytes was too large as it was sent: the next ones are cut smaller. */
void refusal_shrink(struct refusal *refusal, bool deflate, size_t len);

/** Batches are refused for that reason. @param random  of the jitter */
void refusal_note(struct refusal *refusal, int reason, int64_t now_ms, uint64_t *random);

/** A PUBACK said no to a batch. */
void refusal_by_puback(
	struct refusal *refusal, int reason, int64_t now_ms, uint64_t *random);

/** The connection is gone; there may be another broker now, or other rules. */
void refusal_forget_pause(struct refusal *refusal);

/** The centre has answered a batch. */
void refusal_over(struct refusal *refusal);

/** What is refused, for health; NULL nothing. Valid until the next call. */
const char *refusal_text(const struct refusal *refusal);

#endif
