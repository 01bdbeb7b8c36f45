/* The streams of a transaction: each one's row, read once and written once. */
#ifndef INGEST_POSTGRES_STREAMS_H
#define INGEST_POSTGRES_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../insert_parts.h"
#include "identity.h"

struct stream {
	struct dp_stream_id id;
	const char *node; /**< who sent it first, in this transaction: of the message */
	size_t order;	  /**< in which they came */
	bool locked;	  /**< the row was read */
	bool changed;
	struct stream_row row;
	struct dp_intervals set;
};

/** All zero is empty. */
struct streams {
	struct stream *at; /**< in the order of their ids, once sorted */
	size_t n, size;
};

/** Add the streams of a list of messages, each once, sorted. */
void streams_collect(struct streams *streams, const struct incoming *list);

/** @return the stream, or NULL */
struct stream *streams_find(const struct streams *streams, const uint8_t *id);

/** Forget all; memory is kept where it pays. */
void streams_clear(struct streams *streams);
void streams_finish(struct streams *streams);

#endif
