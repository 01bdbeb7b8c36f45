/*
 * The publisher's streams, in order of arrival, and the boots of their readings without a
 * time. The relay owns the list; intake adds to it, and the outbox fills it when it is
 * opened. On the loop.
 */
#ifndef PUBLISHER_STREAMS_H
#define PUBLISHER_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dating.h"
#include "stream.h"

#define STREAMS_LIVE_MAX 20000 /* readings in memory; beyond, the samplers keep them */
#define STREAMS_LIVE_BYTES ((size_t)4 << 20)

/** All zero is none. */
struct streams {
	struct stream *first;
	size_t n;
	struct dating dating;
};

struct streams_live {
	size_t n, bytes;
};

/** What all of them have in memory. */
struct streams_live streams_live(const struct streams *streams);

/** Whether that is more than one `share`th of what there is room for. */
bool streams_crowded(const struct streams_live *live, unsigned share);

/** How many readings are in the outbox and not answered. */
uint64_t streams_stored(const struct streams *streams);

/** @return the stream of that id, or NULL */
struct stream *streams_find(const struct streams *streams, const struct dp_stream_id *id);

/** A new stream at the end; ends the process when there is no memory. */
struct stream *streams_add(
	struct streams *streams, const struct dp_stream_id *id, const char *node);

/** Whether any has readings that cannot be sent before their time is known. */
bool streams_wait(const struct streams *streams);

/**
 * Streams of samplers that ended long ago make room; they hold nothing.
 * @param in_use  whether somebody still refers to it
 */
void streams_forget_idle(struct streams *streams, int64_t now_ms,
	bool (*in_use)(void *data, const struct stream *stream), void *data);

/** Destroy them all, and the boots. */
void streams_clear(struct streams *streams);

/** End the process when err is not 0: from a stream it can only be memory. */
void streams_must(int err);

#endif
