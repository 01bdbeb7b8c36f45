/*
 * The stream whose messages are being taken in. Messages of one stream stand together
 * (queue_group()), so its rows are read once and written once. On the work queue.
 */
#ifndef INGEST_SQLITE_STREAM_H
#define INGEST_SQLITE_STREAM_H

#include "../context.h"
#include "statements.h"

/** All zero at first, but for the statements. */
struct sqlite_stream {
	struct statements *statements; /**< of the open database */
	int64_t id;		       /**< of its row; 0: there is none now */
	struct dp_stream_id stream;
	struct stream_row row;		 /**< as it is to become */
	int64_t seen;			 /**< as it is in the database */
	struct dp_intervals set, before; /**< as it is to become; as it was read */
};

/** A transaction has begun: what one that was undone had read is forgotten. */
void sqlite_stream_begin(struct sqlite_stream *stream);

/** As store_ops.find_stream(): writes the one before, reads or adds the message's. */
int sqlite_stream_find(
	struct sqlite_stream *stream, const struct context *c, struct stream_row **out);

/** As store_ops.add_lost(). */
int sqlite_stream_add_lost(
	struct sqlite_stream *stream, const struct dp_interval *gap, int64_t now_us);

/** Write what has changed, and forget the stream. @return as dp_sqlite_error() */
int sqlite_stream_end(struct sqlite_stream *stream);

/** Free what it holds. */
void sqlite_stream_finish(struct sqlite_stream *stream);

#endif
