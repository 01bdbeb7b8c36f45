/* A message of other people's devices: stored as it comes, answered by nobody. */
#ifndef INGEST_INSERT_PLAIN_H
#define INGEST_INSERT_PLAIN_H

#include "context.h"

/** Take in the message. @return 0 or an error that undoes the transaction */
int insert_plain(struct context *c);

#endif
