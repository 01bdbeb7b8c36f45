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

/** Only refusal.c writes it. */
struct refusal {
	/** How large a batch may be that goes as it is, or deflated: bytes before that.
	 * They shrink when the centre takes smaller messages only. */
	size_t limits[2];
	int reason;	  /**< batches are refused for: an MQTT 5 reason, 0 none are */
	int64_t until_ms; /**< nothing is sent before */
	int64_t wait_ms;
	char text[160];
};

void refusal_init(struct refusal *refusal);

/** How many bytes the next batch may have before it is deflated, if it is to be. */
size_t refusal_limit(const struct refusal *refusal, bool deflate);

/** One of `len` bytes was too large as it was sent: the next ones are cut smaller. */
void refusal_shrink(struct refusal *refusal, bool deflate, size_t len);

/** Batches are refused for that reason. @param random  of the jitter */
void refusal_note(struct refusal *refusal, int reason, int64_t now_ms, uint64_t *random);

/** A batch under way. */
struct refusal_batch {
	bool deflate;	/**< it was to be deflated */
	size_t len;	/**< before that */
	uint32_t count; /**< readings; 0: there is none under way */
};

/**
 * A PUBACK said no to a batch.
 * @param largest  as it was sent, of those that were cut by the limits of now
 */
void refusal_by_puback(struct refusal *refusal, int reason,
	const struct refusal_batch *largest, int64_t now_ms, uint64_t *random);

/** The connection is gone; there may be another broker now, or other rules. */
void refusal_forget_pause(struct refusal *refusal);

/** The centre has answered a batch. */
void refusal_over(struct refusal *refusal);

/** What is refused, for health; NULL nothing. Valid until the next call. */
const char *refusal_text(const struct refusal *refusal);

#endif
