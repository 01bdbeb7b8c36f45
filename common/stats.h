/* Counters and gauges of a service, published as one flat JSON object. */
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
 * multiple of it, so that what else is sent each so many seconds goes with it.
 */
void dp_stats_start(struct dp_stats *stats, uv_loop_t *loop, struct dp_bus *bus,
	const char *topic, const struct dp_stat *table, size_t n, int64_t period_s);

/** Publish now: what is counted changed in a way that should be seen at once. */
void dp_stats_publish(struct dp_stats *stats);

void dp_stats_stop(struct dp_stats *stats);

#endif
