/* The streams of a transaction: each one's row, read once and written once. */
#ifndef INGEST_POSTGRES_STREAMS_H
#define INGEST_POSTGRES_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../context.h"
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

/**
 * A row was read and is locked until the transaction ends. One that cannot be read stays
 * unlocked.
 * @param hex     the stream's id
 * @param stored  the numbers it has, as multirange_read() wants them
 */
void streams_note_row(struct streams *streams, const char *hex, const char *node,
	int64_t seen_us, const char *stored);

/** @return the row of a stream that is locked, or NULL */
struct stream_row *streams_row(struct streams *streams, const uint8_t *id);

/** The row of a stream that is locked is to be written. */
void streams_note_change(struct streams *streams, const uint8_t *id);

/** Forget all; memory is kept where it pays. */
void streams_clear(struct streams *streams);
void streams_finish(struct streams *streams);

#endif
