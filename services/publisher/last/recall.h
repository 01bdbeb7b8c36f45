/*
 * What the centre retains of this node is read back after each connect. So names are found
 * that no sampler has any more, and an old reading from a sampler's ring does not replace a
 * newer one that was shown before the publisher's restart. Given the time.
 */
#ifndef PUBLISHER_RECALL_H
#define PUBLISHER_RECALL_H

#include "known.h"

/** Only recall.c writes it. */
struct recall {
	struct known_names *names;
	const char *node;
	struct dp_bus *bus;   /**< NULL: not yet */
	bool under_way, done; /**< done: it was read back once */
	int64_t until_ms;
};

/** After each connect to the centre, once our own status is published. */
void recall_start(struct recall *recall, struct dp_bus *bus, int64_t now_ms);

/**
 * A message on state/# or status/#.
 * @return what it was of, now known to be at the centre; NULL nothing of ours
 */
struct known *recall_message(
	struct recall *recall, const struct dp_bus_message *message, int64_t wall_us);

/** When until_ms has come: go on without. */
void recall_expire(struct recall *recall, int64_t now_ms);

#endif
