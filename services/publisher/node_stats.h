/*
 * What the node's other services say of themselves, passed on to the centre. With
 * SEND_EVERY only the latest of each, when the publisher's own statistics are due. On the
 * loop.
 */
#ifndef PUBLISHER_NODE_STATS_H
#define PUBLISHER_NODE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "topic.h"

#define NODE_STATS_MAX 32
#define NODE_STATS_BYTES 2048

/** The latest of one service, until it is due. */
struct latest_stats {
	char topic[DP_TOPIC_MAX]; /**< at the centre */
	char json[NODE_STATS_BYTES];
	size_t len;
};

/** Only node_stats.c writes it. */
struct node_stats {
	const char *node;
	int64_t every_ms; /**< 0: they are passed on as they come */
	struct latest_stats *latest;
	size_t n;
	int64_t since_ms; /**< since when something is kept */
};

/** Ends the process when there is no memory. What is passed outlives it. */
void node_stats_init(struct node_stats *stats, const char *node, int64_t every_ms);
void node_stats_finish(struct node_stats *stats);

/** A message on local/stats/<service>/<instance>, for `bus` at once or later. */
void node_stats_message(struct node_stats *stats, const struct dp_bus_message *message,
	struct dp_bus *bus, int64_t now_ms);

/** Send what is kept, if it is due and the bus is up. */
void node_stats_send(struct node_stats *stats, struct dp_bus *bus, int64_t now_ms);

/** When that has something to do; INT64_MAX never. */
int64_t node_stats_deadline(const struct node_stats *stats);

#endif
