/* A batch of our own publishers: its numbers say what of it is new. */
#ifndef INGEST_INSERT_BATCH_H
#define INGEST_INSERT_BATCH_H

#include "context.h"

/** Take in the message, and say in c->results what is to be answered. @return 0 or an
 * error that undoes the transaction */
int insert_batch(struct context *c);

#endif
