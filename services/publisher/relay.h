/*
 * The publisher: a relay with a memory between the node's broker and the central one. It
 * accepts a reading when the centre has stored it or when it stands in the outbox,
 * whichever is first.
 *
 * The relay makes the parts, owns the streams that they share, and tells each part what
 * another has to say; no part knows another. What came in is only noted by the callbacks:
 * once an iteration, before the loop waits again, each part does what is due.
 * README.md says which part does what. All of it is on the loop.
 */
#ifndef PUBLISHER_RELAY_H
#define PUBLISHER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "commands/commands.h"
#include "intake.h"
#include "last/last.h"
#include "node_stats.h"
#include "outbox/queue.h"
#include "settings.h"
#include "stats.h"
#include "streams/streams.h"
#include "uplink/uplink.h"

#define RELAY_STATS 20

/** Only relay.c writes it, and each part what is its own. */
struct relay {
	struct dp_service *service;
	const struct publisher_config *config;
	struct streams streams;
	struct intake intake;
	struct queue queue; /**< the outbox */
	struct uplink uplink;
	struct last last;
	struct commands commands;
	struct node_stats node_stats;
	struct dp_bus *local; /**< the node's broker; NULL until the outbox is open */
	uv_prepare_t prepare;
	uv_timer_t timer; /**< the next thing that is due */
	bool stopping, stopped;
	char client[96], stats_topic[192];
	struct dp_stats stats;
	struct dp_stat table[RELAY_STATS];
	uint64_t in_memory, in_outbox, in_flight, oldest_s; /**< as of this iteration */
};

/** Ends the process when there is no memory. What is passed outlives the relay. */
struct relay *relay_start(
	struct dp_service *service, const struct publisher_config *config);

/** As dp_service_run() wants it. */
void relay_stop(void *relay);
const char *relay_health(void *relay);

/** After the loop has ended. */
void relay_destroy(struct relay *relay);

#endif
