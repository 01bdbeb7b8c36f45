/*
 * What the centre retains of this node is read back after each connect. So names are found
 * that no sampler has any more, and an old reading from a sampler's ring does not replace a
 * newer one that was shown before the publisher's restart.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "relay.h"
#include "topic.h"

#define RECALL_MS 5000 /* the centre may not let us read: go on without */
#define LATEST_S 9e9

/* Retained messages come in this order, and the last one has just been published. */
static const struct {
	const char *before, *after;
} filters[] = {{"state/", "/+"}, {"status/", "/+"}, {"status/", ""}};

static void each_filter(struct relay *r, int (*call)(struct dp_bus *, const char *))
{
	int err = 0;
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]) && err == 0; i++) {
		char filter[DP_TOPIC_MAX];
		snprintf(filter, sizeof(filter), "%s%s%s", filters[i].before,
			r->config->node_name, filters[i].after);
		err = call(r->uplink.bus, filter);
	}
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot read back what the centre retains",
			"error=\"%s\"", strerror(-err));
}

void recall_start(struct relay *r)
{
	/* A session that goes on has the subscriptions, and would be sent nothing. */
	each_filter(r, dp_bus_unsubscribe);
	each_filter(r, dp_bus_subscribe);
	r->recalling = true;
	r->recall_until_ms = relay_now(r) + RECALL_MS;
}

static void end(struct relay *r)
{
	r->recalling = false;
	r->recalled = true;
	each_filter(r, dp_bus_unsubscribe);
}

void recall_expire(struct relay *r)
{
	if (!r->recalling || relay_now(r) < r->recall_until_ms)
		return;
	dp_log(DP_LOG_WARN,
		"the centre does not show what it retains of this node; names that are "
		"gone "
		"stay there",
		"advice=\"the node's user needs to read state/%s/+ and status/%s/#\"",
		r->config->node_name, r->config->node_name);
	end(r);
}

/* Of the state that last_note() wrote. @return microseconds, 0: it has none */
static int64_t time_of(const char *json)
{
	static const char begin[] = "{\"time\":";
	char text[32];
	double time_s;
	if (strncmp(json, begin, strlen(begin)) != 0)
		return 0;
	json += strlen(begin);
	size_t len = strcspn(json, ",}");
	if (len >= sizeof(text))
		return 0;
	memcpy(text, json, len);
	text[len] = '\0';
	if (dp_parse_double(text, &time_s) != 0 || time_s < 0 || time_s > LATEST_S)
		return 0;
	return (int64_t)llround(time_s * 1e6);
}

static void take_property(
	const struct dp_property *property, struct last *last, struct shown *shown)
{
	if (strcmp(property->name, "sampler") == 0 && last->sampler[0] == '\0')
		snprintf(last->sampler, sizeof(last->sampler), "%s", property->value);
	else if (strcmp(property->name, "stream") == 0)
		dp_hex_decode(property->value, strlen(property->value), shown->stream.bytes,
			DP_STREAM_BYTES);
	else if (strcmp(property->name, "first") == 0)
		dp_parse_u64(property->value, &shown->seq);
}

static void take_state(struct relay *r, struct last *last,
	const struct dp_bus_message *message, struct shown *shown)
{
	char json[sizeof(last->json)] = "";
	if (message->len >= sizeof(json))
		return;
	memcpy(json, message->payload, message->len);
	shown->ts_us = time_of(json);
	/* Once it is read back, this process knows better. */
	if (last->json[0] != '\0' &&
		(r->recalled || last->is_output || last_is_newer(r, &last->shown, shown)))
		return;
	memcpy(last->json, json, sizeof(json));
	last->shown = *shown;
	last->json_due = false;
}

static void take_status(struct last *last, const struct dp_bus_message *message)
{
	if (last->told)
		return;
	last->told = true;
	last->online = last_is_online(message);
}

bool recall_take(struct relay *r, const struct dp_bus_message *message)
{
	char node[DP_TOPIC_MAX];
	bool is_state = strncmp(message->topic, "state/", 6) == 0;
	if (!is_state && strncmp(message->topic, "status/", 7) != 0)
		return false;
	/* What is not retained is our own, on its way back. */
	if (!r->recalling || !message->retain)
		return true;
	if (strcmp(message->topic, r->uplink.status_topic) == 0) {
		end(r);
		return true;
	}
	snprintf(node, sizeof(node), "%s/%s/", is_state ? "state" : "status",
		r->config->node_name);
	if (strncmp(message->topic, node, strlen(node)) != 0 || message->len == 0)
		return true;
	struct last *last = last_of_topic(r, message->topic);
	if (last == NULL)
		return true;
	struct shown shown = {.seq = 0};
	for (size_t i = 0; i < message->n_properties; i++)
		take_property(&message->properties[i], last, &shown);
	if (is_state && !last->clear_due)
		take_state(r, last, message, &shown);
	else if (!is_state && !last->clear_due)
		take_status(last, message);
	last->at_centre = true;
	if (!last->claimed)
		claims_expect(r);
	return true;
}
