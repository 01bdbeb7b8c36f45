/*
 * Whether batches to the centre are deflated, which COMPRESS=deflate wants: once the centre
 * has said that it takes them, until it answers one of them with `later`. Then they go out
 * as they are, and it is asked again after a while. Given the time, and silent but for the
 * log.
 */
#ifndef PUBLISHER_ENCODING_H
#define PUBLISHER_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deflate.h"
#include "identity.h"

/** Only encoding.c writes it. */
struct encoding {
	bool wanted;
	bool taken;	  /**< by the centre, as far as is known */
	int64_t taken_ms; /**< since when */
	int64_t offer_ms; /**< it is offered from then on */
	int64_t pause_ms; /**< how long the last pause was; 0: there was none */
	struct dp_deflater deflater;
	char *deflated; /**< the last payload */
	size_t size;
};

/**
 * Takes its memory now, if it is wanted; ends the process when there is none.
 * @param most  bytes of a payload
 */
void encoding_init(struct encoding *encoding, bool wanted, size_t most);
void encoding_finish(struct encoding *encoding);

/** Whether payloads are to be deflated now. */
bool encoding_on(const struct encoding *encoding);

/** Whether a message as it is says that it could be. */
bool encoding_offers(const struct encoding *encoding, int64_t now_ms);

/** What a message carries, and says of it. */
struct payload {
	const char *at;
	size_t len;
	enum dp_encoding encoding, offer;
};

/**
 * A payload as it is to be sent now: itself, or deflated, until the next call.
 * @param deflate  if that is shorter; only while encoding_on()
 */
struct payload encoding_payload(struct encoding *encoding, const char *at, size_t len,
	bool deflate, int64_t now_ms);

/** An answer says that the centre takes it. */
void encoding_taken(struct encoding *encoding, int64_t now_ms);

/** An answer says `later` of a message that was deflated. */
void encoding_postponed(struct encoding *encoding, int64_t now_ms);

#endif
