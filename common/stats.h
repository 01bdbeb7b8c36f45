/*
 * Counters and gauges of a service, published as one flat JSON object. On the loop's
 * thread.
 */
#ifndef DP_STATS_H
#define DP_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"

struct dp_stat {
	const char *name;
	const uint64_t *value; /**< read on the loop thread */
};

struct dp_stats {
	const struct dp_stat *stats;
	size_t n;
	const char *topic; /**< outlives the statistics */
	struct dp_bus *bus;
	uv_timer_t timer;
};

/**
 * Publish every period_s from now on, while the bus is up; when the loop's clock is at a
 * multiple of it, so that what else is sent each so many seconds goes with it. Bus, topic
 * and table outlive it. A time at which the bus is down is left out; what else keeps it
 * from publishing is logged.
 */
void dp_stats_start(struct dp_stats *stats, uv_loop_t *loop, struct dp_bus *bus,
	const char *topic, const struct dp_stat *table, size_t n, int64_t period_s);

/** The memory is the loop's until it has closed the timer. */
void dp_stats_stop(struct dp_stats *stats);

#endif
