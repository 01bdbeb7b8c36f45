#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "relay.h"
#include "topic.h"

#define LAST_EVERY_MS 500

static struct last *last_of(struct relay *r, struct dp_slice name)
{
	for (size_t i = 0; i < r->n_last; i++) {
		if (dp_slice_equal(dp_slice(r->last[i].name), name))
			return &r->last[i];
	}
	if (r->n_last == RELAY_SENSORS)
		return NULL;
	struct last *last = &r->last[r->n_last++];
	memcpy(last->name, name.at, name.len);
	last->name[name.len] = '\0';
	return last;
}

/* Of the name behind a topic's last slash; NULL when it is none. */
static struct last *last_of_topic(struct relay *r, const char *topic)
{
	struct dp_slice name = dp_slice(strrchr(topic, '/') + 1);
	return dp_name_valid(name.at, name.len) ? last_of(r, name) : NULL;
}

/* Not by time, as a clock may be set back; a sampler that is new is the newer one. */
static bool is_newer(const struct last *last, const struct dp_identity *identity)
{
	return memcmp(&last->stream, &identity->stream, sizeof(last->stream)) != 0 ||
	       identity->first > last->seq;
}

void last_note(struct relay *r, const struct dp_identity *identity,
	const struct dp_reading *reading)
{
	struct last *last = last_of(r, reading->sensor);
	if (last == NULL || !is_newer(last, identity))
		return;
	char json[sizeof(last->json)] = "{";
	size_t len = 1;
	if (reading->has_time)
		len = (size_t)snprintf(json, sizeof(json),
			"{\"time\":%" PRId64 ".%06" PRId64, reading->ts_us / 1000000,
			reading->ts_us % 1000000);
	for (unsigned i = 0; i < reading->n && len < sizeof(json); i++) {
		char number[32];
		dp_format_double(number, reading->values[i].value);
		len += (size_t)snprintf(json + len, sizeof(json) - len, "%s\"%.*s\":%s",
			len > 1 ? "," : "", (int)reading->values[i].quantity.len,
			reading->values[i].quantity.at, number);
	}
	if (len + 2 > sizeof(json))
		return;
	memcpy(json + len, "}", 2);
	memcpy(last->json, json, len + 2);
	last->stream = identity->stream;
	last->seq = identity->first;
	last->json_due = true;
	r->last_due = true;
}

void last_note_output(struct relay *r, const struct dp_bus_message *message)
{
	struct last *last = last_of_topic(r, message->topic);
	if (last == NULL || message->len == 0 || message->len >= sizeof(last->json))
		return;
	memcpy(last->json, message->payload, message->len);
	last->json[message->len] = '\0';
	last->is_output = last->json_due = true;
	r->last_due = true;
	last_send(r);
}

static bool is_online(const struct dp_bus_message *message)
{
	return message->len == strlen("online") &&
	       memcmp(message->payload, "online", message->len) == 0;
}

static void note_status(struct relay *r, struct last *last, bool online)
{
	if (last->told && last->online == online)
		return;
	last->told = last->status_due = true;
	last->online = online;
	r->last_due = true;
}

void last_note_status(struct relay *r, const struct dp_bus_message *message)
{
	struct last *last = last_of_topic(r, message->topic);
	if (last == NULL)
		return;
	for (size_t i = 0; i < message->n_properties; i++) {
		const struct dp_property *property = &message->properties[i];
		if (strcmp(property->name, "sampler") == 0)
			snprintf(last->sampler, sizeof(last->sampler), "%s",
				property->value);
	}
	note_status(r, last, is_online(message));
}

/* A sampler's last will: all that is its own is away too. */
void last_note_sampler(struct relay *r, const struct dp_bus_message *message)
{
	const char *instance = strrchr(message->topic, '/') + 1;
	for (size_t i = 0; i < r->n_last && !is_online(message); i++) {
		if (!r->last[i].told || strcmp(r->last[i].sampler, instance) != 0)
			continue;
		note_status(r, &r->last[i], false);
	}
}

bool last_has_outputs(const struct relay *r)
{
	size_t i = 0;
	while (i < r->n_last && !r->last[i].is_output)
		i++;
	return i < r->n_last;
}

/* @return whether the connection is still there */
static bool tell(struct relay *r, const char *what, const char *name, const char *text,
	const char *content_type)
{
	char topic[DP_TOPIC_MAX];
	snprintf(topic, sizeof(topic), "%s/%s/%s", what, r->config->node_name, name);
	const struct dp_bus_message message = {.topic = topic,
		.payload = text,
		.len = strlen(text),
		.qos = 1,
		.retain = true,
		.content_type = content_type};
	int err = dp_bus_publish(r->upstream, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish what is known of a sensor or output",
			"topic=%s error=\"%s\"", topic, strerror(-err));
	return err != -ENOTCONN;
}

static bool send_one(struct relay *r, struct last *last)
{
	if (last->json_due && !tell(r, "state", last->name, last->json, "application/json"))
		return false;
	last->json_due = false;
	if (last->status_due &&
		!tell(r, "status", last->name, last->online ? "online" : "offline", NULL))
		return false;
	last->status_due = false;
	return true;
}

void last_send(struct relay *r)
{
	if (!r->last_due || r->upstream == NULL || !dp_bus_connected(r->upstream))
		return;
	bool soon = relay_now(r) - r->last_ms < LAST_EVERY_MS;
	bool all = true;
	for (size_t i = 0; i < r->n_last; i++) {
		struct last *last = &r->last[i];
		/* Somebody waits for an output's; sensors' may be many. */
		if (soon && !last->is_output)
			all = all && !last->json_due && !last->status_due;
		else if (!send_one(r, last))
			return;
	}
	r->last_due = !all;
	if (!soon)
		r->last_ms = relay_now(r);
}

void last_send_all(struct relay *r)
{
	for (size_t i = 0; i < r->n_last; i++) {
		r->last[i].json_due = r->last[i].json[0] != '\0';
		r->last[i].status_due = r->last[i].told;
	}
	r->last_due = r->n_last > 0;
}

int64_t last_deadline(const struct relay *r)
{
	if (!r->last_due || r->upstream == NULL || !dp_bus_connected(r->upstream))
		return INT64_MAX;
	return r->last_ms + LAST_EVERY_MS;
}
