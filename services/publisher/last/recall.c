#include "recall.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "topic.h"

#define RECALL_MS 5000 /* the centre may not let us read: go on without */
#define LATEST_S 9e9

/* Retained messages come in this order, and the last one has just been published. */
static const struct {
	const char *before, *after;
} filters[] = {{"state/", "/+"}, {"status/", "/+"}, {"status/", ""}};

static void each_filter(struct recall *recall, void (*call)(struct dp_bus *, const char *))
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		char filter[DP_TOPIC_MAX];
		snprintf(filter, sizeof(filter), "%s%s%s", filters[i].before, recall->node,
			filters[i].after);
		call(recall->bus, filter);
	}
}

void recall_start(struct recall *recall, struct dp_bus *bus, int64_t now_ms)
{
	recall->bus = bus;
	/* A session that goes on has the subscriptions, and would be sent nothing. */
	each_filter(recall, dp_bus_unsubscribe);
	each_filter(recall, dp_bus_subscribe);
	recall->under_way = true;
	recall->until_ms = now_ms + RECALL_MS;
}

static void end(struct recall *recall)
{
	recall->under_way = false;
	recall->done = true;
	each_filter(recall, dp_bus_unsubscribe);
}

void recall_expire(struct recall *recall, int64_t now_ms)
{
	if (!recall->under_way || now_ms < recall->until_ms)
		return;
	dp_log(DP_LOG_WARN,
		"the centre does not show what it retains of this node; names that are "
		"gone "
		"stay there",
		"advice=\"the node's user needs to read state/%s/+ and status/%s/#\"",
		recall->node, recall->node);
	end(recall);
}

/* Of the state that last_reading() wrote. @return microseconds, 0: it has none */
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

static void read_property(
	const struct dp_property *property, struct known *known, struct shown *shown)
{
	if (strcmp(property->name, "sampler") == 0 && known->sampler[0] == '\0')
		snprintf(known->sampler, sizeof(known->sampler), "%s", property->value);
	else
		shown_decode(property, shown);
}

static void read_state(const struct recall *recall, struct known *known,
	const struct dp_bus_message *message, struct shown *shown, int64_t wall_us)
{
	char json[sizeof(known->json)] = "";
	if (message->len >= sizeof(json))
		return;
	memcpy(json, message->payload, message->len);
	shown->ts_us = time_of(json);
	/* Once it is read back, this process knows better. */
	if (known->json[0] != '\0' &&
		(recall->done || known->is_output ||
			shown_is_newer(&known->shown, shown, wall_us)))
		return;
	memcpy(known->json, json, sizeof(json));
	known->shown = *shown;
	known->json_due = false;
}

static void read_status(struct known *known, const struct dp_bus_message *message)
{
	if (known->told)
		return;
	known->told = true;
	known->online = known_says_online(message);
}

struct known *recall_message(
	struct recall *recall, const struct dp_bus_message *message, int64_t wall_us)
{
	char node[DP_TOPIC_MAX];
	bool is_state = strncmp(message->topic, "state/", 6) == 0;
	/* What is not retained is our own, on its way back. */
	if (!recall->under_way || !message->retain)
		return NULL;
	snprintf(node, sizeof(node), "%s/%s", is_state ? "state" : "status", recall->node);
	size_t len = strlen(node);
	if (!is_state && strcmp(message->topic, node) == 0)
		end(recall);
	if (strncmp(message->topic, node, len) != 0 || message->topic[len] != '/' ||
		message->len == 0)
		return NULL;
	struct known *known = known_of_topic(recall->names, message->topic);
	if (known == NULL)
		return NULL;
	struct shown shown = {.seq = 0};
	for (size_t i = 0; i < message->n_properties; i++)
		read_property(&message->properties[i], known, &shown);
	if (is_state && !known->clear_due)
		read_state(recall, known, message, &shown, wall_us);
	else if (!is_state && !known->clear_due)
		read_status(known, message);
	known->at_centre = true;
	return known;
}
