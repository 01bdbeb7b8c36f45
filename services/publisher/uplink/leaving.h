/*
 * Which streams may send now. None does while the centre does not take it (parking.h),
 * while its name is refused (ungranted.h), or before it is known when its oldest reading
 * was measured. Given the time.
 */
#ifndef PUBLISHER_LEAVING_H
#define PUBLISHER_LEAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "../streams/streams.h"

/** Until when a stream is paused, by the centre or its broker: the later counts. */
int64_t leaving_paused_until(const struct stream *stream);
bool leaving_paused(const struct stream *stream, int64_t now_ms);

/** Whether a stream's readings may be sent at all now. */
bool leaving_allowed(const struct stream *stream, int64_t now_ms);

/** How many readings of the outbox are such a stream's. */
uint64_t leaving_stored(const struct streams *streams, int64_t now_ms);

#endif
