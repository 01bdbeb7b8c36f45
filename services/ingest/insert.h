/* Taking the messages of a transaction in, the same for every store. */
#ifndef INGEST_INSERT_H
#define INGEST_INSERT_H

#include "context.h"

/**
 * Take a list of messages in.
 * @param c      of context_of()
 * @param fence  plain messages are left out unless it is held
 * @return 0, or an error of an operation, which undoes the transaction
 */
int insert_messages(
	const struct context *c, const struct incoming *list, const struct dp_lease *fence);

#endif
