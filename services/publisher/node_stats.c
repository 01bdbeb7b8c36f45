#include "node_stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "tick.h"

#define LOCAL "local/stats/"

void node_stats_init(struct node_stats *stats, const char *node, int64_t every_ms)
{
	*stats = (struct node_stats){.node = node, .every_ms = every_ms};
	if (every_ms == 0)
		return;
	stats->latest = calloc(NODE_STATS_MAX, sizeof(*stats->latest));
	if (stats->latest == NULL)
		dp_log_out_of_memory("statistics");
}

void node_stats_finish(struct node_stats *stats)
{
	free(stats->latest);
}

static void publish(struct dp_bus *bus, const char *topic, const void *json, size_t len)
{
	const struct dp_bus_message up = {.topic = topic,
		.payload = json,
		.len = len,
		.content_type = "application/json"};
	int err = dp_bus_publish(bus, &up);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot relay statistics", "error=\"%s\"",
			strerror(-err));
}

/* Where the latest of that topic is kept; NULL when there are too many. */
static struct latest_stats *latest_of(struct node_stats *stats, const char *topic)
{
	for (size_t i = 0; i < stats->n; i++) {
		if (strcmp(stats->latest[i].topic, topic) == 0)
			return &stats->latest[i];
	}
	return stats->n < NODE_STATS_MAX ? &stats->latest[stats->n++] : NULL;
}

void node_stats_message(struct node_stats *stats, const struct dp_bus_message *message,
	struct dp_bus *bus, int64_t now_ms)
{
	char topic[DP_TOPIC_MAX];
	int n = snprintf(topic, sizeof(topic), "stats/%s/%s", stats->node,
		message->topic + strlen(LOCAL));
	if (n < 0 || (size_t)n >= sizeof(topic))
		return;
	if (stats->every_ms == 0) {
		publish(bus, topic, message->payload, message->len);
		return;
	}
	bool first = stats->n == 0;
	struct latest_stats *latest =
		message->len <= NODE_STATS_BYTES ? latest_of(stats, topic) : NULL;
	if (latest == NULL)
		return; /* the next one says it all as well */
	memcpy(latest->topic, topic, sizeof(topic));
	memcpy(latest->json, message->payload, message->len);
	latest->len = message->len;
	if (first)
		stats->since_ms = now_ms;
}

void node_stats_send(struct node_stats *stats, struct dp_bus *bus, int64_t now_ms)
{
	if (now_ms < node_stats_deadline(stats) || !dp_bus_connected(bus))
		return;
	for (size_t i = 0; i < stats->n; i++)
		publish(bus, stats->latest[i].topic, stats->latest[i].json,
			stats->latest[i].len);
	stats->n = 0;
}

int64_t node_stats_deadline(const struct node_stats *stats)
{
	return stats->n == 0 ? INT64_MAX : tick_after(stats->since_ms, stats->every_ms);
}
