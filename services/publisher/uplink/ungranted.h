/*
 * Former names of this node that the centre's broker does not let it use. What the outbox
 * kept under one is sent under it (a stream belongs to the node that it was first seen of),
 * which takes a right of its own: it stays where it is, and one message asks for it again,
 * less and less often. Given the time, and silent but for the log.
 */
#ifndef PUBLISHER_UNGRANTED_H
#define PUBLISHER_UNGRANTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../streams/streams.h"

/**
 * What was sent under that name is refused: nothing of its streams for a while.
 * @param own     the node's name now
 * @param random  of the jitter
 */
void ungranted_begin(struct streams *streams, const char *name, const char *own,
	int64_t now_ms, uint64_t *random);

/** Whether that stream's name is refused; then what of it is sent next asks again. */
bool ungranted(const struct stream *stream);

/** A message of that stream asks: nothing else under its name for so long. */
void ungranted_ask(struct streams *streams, const struct stream *stream, int64_t until_ms);

/** The centre has answered something of that stream: its name is granted. */
void ungranted_end(struct streams *streams, const struct stream *stream);

/** The connection is gone; there may be other rights now, which are asked for at once. */
void ungranted_forget_pause(struct streams *streams);

/** Which name is refused and what to do, for health; empty: none is. */
void ungranted_say(const struct streams *streams, const char *own, char *text, size_t size);

#endif
