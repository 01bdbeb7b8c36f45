#include "stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "timer.h"

static void publish(struct dp_stats *stats)
{
	char json[2048];
	size_t len = 0;
	for (size_t i = 0; i < stats->n; i++) {
		int n = snprintf(json + len, sizeof(json) - len, "%s\"%s\":%" PRIu64,
			i == 0 ? "{" : ",", stats->stats[i].name, *stats->stats[i].value);
		len += (size_t)n;
		if (len >= sizeof(json) - 1)
			return;
	}
	json[len++] = '}';
	const struct dp_bus_message message = {
		.topic = stats->topic,
		.payload = json,
		.len = len,
		.content_type = "application/json",
	};
	int err = dp_bus_publish(stats->bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish statistics", "error=\"%s\"",
			strerror(-err));
}

static void on_period(uv_timer_t *timer)
{
	publish(timer->data);
}

void dp_stats_start(struct dp_stats *stats, uv_loop_t *loop, struct dp_bus *bus,
	const char *topic, const struct dp_stat *table, size_t n, int64_t period_s)
{
	*stats = (struct dp_stats){.stats = table, .n = n, .topic = topic, .bus = bus};
	uint64_t period_ms = (uint64_t)period_s * 1000;
	timer_init(loop, &stats->timer, stats);
	timer_repeat(
		&stats->timer, on_period, period_ms - uv_now(loop) % period_ms, period_ms);
}

void dp_stats_stop(struct dp_stats *stats)
{
	uv_close((uv_handle_t *)&stats->timer, NULL);
}
