/*
 * Streams that the centre does not take now: they are kept and tried again, less and less
 * often. Given the time, and silent but for the log.
 */
#ifndef PUBLISHER_PARKING_H
#define PUBLISHER_PARKING_H

#include <stdbool.h>
#include <stdint.h>

#include "../streams/stream.h"

/** The centre says `later`: nothing of that stream for a while. @param random  of the
 * jitter */
void parking_begin(
	struct stream *stream, const char *reason, int64_t now_ms, uint64_t *random);

/** It takes the stream again. */
void parking_end(struct stream *stream);

/** Whether the centre said `later` and has not taken anything of it since. */
bool parking_begun(const struct stream *stream);

#endif
