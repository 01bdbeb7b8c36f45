/*
 * The messages of a transaction, taken in: the rows that are to be sent. Knows no
 * connection. On the loop, between a round trip that locks the streams and those that
 * send the rows.
 */
#ifndef INGEST_POSTGRES_PASS_H
#define INGEST_POSTGRES_PASS_H

#include "../context.h"
#include "catalog.h"
#include "streams.h"
#include "wire.h"

/** All zero at first, but for the options and the catalog. */
struct pass {
	const struct sink_options *options;
	struct catalog *catalog;
	struct effects effects;
	struct streams streams;

	int64_t late_before_us; /**< readings older than that are late */
	struct wire copy;	/**< rows of reading */
	struct wire late;	/**< rows of late: those of them that are */
	size_t n_late;
	struct wire_array lost_stream, lost_first, lost_count;
	struct wire_array dead_ts, dead_topic, dead_reason, dead_stream, dead_seq,
		dead_bytes, dead_payload;
};

/**
 * Take a list of messages in, whose streams are locked, into a catalog that has begun.
 * @param fence           as in struct sink_job
 * @param late_before_us  readings of an earlier time are late
 * @return 0; -EAGAIN the catalog wants something, and nothing of this may be used; another
 *         negative errno
 */
int pass_run(struct pass *pass, const struct incoming *list, const struct dp_lease *fence,
	struct results *results, int64_t late_before_us);

/** Begin anew with the streams of a list, none of which is locked; NULL: with none. */
void pass_collect(struct pass *pass, const struct incoming *list);

/** Free what it holds. */
void pass_finish(struct pass *pass);

#endif
