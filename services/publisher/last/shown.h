/*
 * Which reading is shown as the last one of a sensor: which of two, and the user properties
 * of `state/<node>/<sensor>` that say it to whoever reads it back, in both directions
 * (common/README.md, "What is retained"). Pure; given the time.
 */
#ifndef PUBLISHER_SHOWN_H
#define PUBLISHER_SHOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity.h"

/** Of a stream's name, where each byte costs: two of one sensor are hardly ever alike. */
#define SHOWN_BYTES ((size_t)4)

struct shown {
	struct dp_stream_id stream;
	size_t stream_bytes; /**< of it that are known: all, or SHOWN_BYTES; 0: none */
	uint64_t seq;	     /**< 0: not known */
	int64_t ts_us;	     /**< 0: it has no time */
};

/** Whether a is to be shown rather than b. */
bool shown_is_newer(const struct shown *a, const struct shown *b, int64_t wall_us);

#define SHOWN_PROPERTIES 2

/** Room for what shown_encode() writes; lives as long as the properties are used. */
struct shown_text {
	struct dp_property properties[SHOWN_PROPERTIES];
	size_t n;
	char stream[DP_STREAM_HEX + 1];
	char seq[24];
	char of[sizeof("-") + 2 * SHOWN_BYTES + 24];
};

/**
 * `stream` and `first`, or `of` alone, which is short.
 * @param brief  in any case; what is known of the stream may not be enough for the others
 */
void shown_encode(const struct shown *shown, bool brief, struct shown_text *text);

/** Read one property; of another name, or malformed, it changes nothing. */
void shown_decode(const struct dp_property *property, struct shown *shown);

#endif
