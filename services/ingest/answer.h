/* Telling publishers what became of their batches. On the loop. */
#ifndef INGEST_ANSWER_H
#define INGEST_ANSWER_H

#include "bus.h"
#include "incoming.h"

/**
 * Publish what a committed transaction decided, one message for neighbouring results
 * of one publisher, and empty the results. Encoded messages that are stored get an empty
 * answer each, where that is fewer bytes. An answer that does not get through is not
 * kept: the batch comes again and is answered then.
 */
void answer_all(struct dp_bus *bus, struct results *results);

#endif
