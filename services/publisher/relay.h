/*
 * The publisher's one context, and which file does what with it:
 *
 *   publisher.c  start, stop, health, the local broker
 *   intake.c     readings in, acceptance out
 *   uplink/      the central broker: batches out, answers in
 *   outbox/      the outbox: queue.h is what the others see of it
 *   last/        state/<node>/<name> and status/<node>/<name>, what is last known of each
 *   commands/    commands to outputs and their answers
 *
 * Callbacks only note what is to be done; relay_work() does it once an iteration,
 * before the loop waits again.
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
#include "outbox/queue.h"
#include "publisher.h"
#include "reading.h"
#include "stats.h"
#include "streams/streams.h"
#include "uplink/uplink.h"

#define RELAY_STATS 20
#define LOCAL_PRESENCE "local/publisher"

struct relay {
	struct dp_service *service;
	const struct publisher_config *config;
	struct dp_bus *local;
	struct uplink uplink;
	struct streams streams;
	struct queue queue; /* the outbox */
	struct intake intake;

	struct commands commands;

	struct last last;

	uv_prepare_t prepare;
	uv_timer_t timer; /* the next thing that is due */
	struct dp_stats stats;
	struct dp_stat table[RELAY_STATS];
	char client_local[96], stats_topic[192];
	bool stopping;
	bool stopped;

	/* statistics */
	uint64_t outbox_count, live_count, flying, oldest_s;
};

/* publisher.c */
int64_t relay_now(const struct relay *r);

#endif
