/*
 * A batch of our own publishers while it waits to be stored: each sensor's names once, and
 * then numbers, a tenth of its text. So more readings fit into a transaction, and the text
 * is read while the transaction before is still being committed. Pure.
 */
#ifndef INGEST_CONDENSED_H
#define INGEST_CONDENSED_H

#include "deflate.h"
#include "scan.h"

/** Takes batches one after the other; but for `most`, all zero at first. */
struct condenser {
	size_t most; /**< bytes of a text; longer ones are left as they are */
	struct dp_inflater inflater; /**< of those that are deflated */
	struct scan scan;
	int64_t last_us[SCAN_SHAPES]; /**< time of the last reading of each shape */
	char *at;		      /**< the last batch */
	size_t len, size;
};

/**
 * Condense a batch of n readings into condenser->at, never longer than its text.
 * @return 0; -EBADMSG it has to stay as it is: not what scan.h reads, too long, or another
 *         number of readings; or -ENOMEM
 */
int condense(struct condenser *condenser, const char *json, size_t len, size_t n);

void condenser_finish(struct condenser *condenser);

/** A condensed batch being read. */
struct condensed {
	const char *at;
	unsigned last;			       /**< which shape was read */
	struct dp_reading shapes[SCAN_SHAPES]; /**< strings point into the batch */
};

/** Begin to read what condense() made; it outlives the reading. */
void condensed_open(struct condensed *batch, const char *at);

/**
 * The next reading, batch->shapes[batch->last]; there is one.
 * @param fresh  whether its names differ from what this shape was before
 */
const struct dp_reading *condensed_next(struct condensed *batch, bool *fresh);

#endif
