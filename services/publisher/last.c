#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "relay.h"
#include "topic.h"

#define LAST_EVERY_MS 500
#define AHEAD_US INT64_C(60000000) /* of our clock: the time of a reading is wrong */

static struct last *last_of(struct relay *r, struct dp_slice name)
{
	for (size_t i = 0; i < r->n_last; i++) {
		if (dp_slice_equal(dp_slice(r->last[i].name), name))
			return &r->last[i];
	}
	if (r->n_last == RELAY_SENSORS)
		return NULL;
	struct last *last = &r->last[r->n_last++];
	*last = (struct last){.told = false};
	memcpy(last->name, name.at, name.len);
	return last;
}

struct last *last_of_topic(struct relay *r, const char *topic)
{
	struct dp_slice name = dp_slice(strrchr(topic, '/') + 1);
	return dp_name_valid(name.at, name.len) ? last_of(r, name) : NULL;
}

/*
 * Of one stream the higher number is newer, whatever was done to the clock. Of two, that is
 * of two samplers or two runs of one, the later time is; unless one has none, or a clock
 * that was ahead has made what is shown.
 */
bool last_is_newer(const struct relay *r, const struct shown *a, const struct shown *b)
{
	const struct dp_clock *clock = &r->service->clock;
	if (memcmp(&a->stream, &b->stream, sizeof(a->stream)) == 0 && b->seq != 0)
		return a->seq > b->seq;
	return a->ts_us == 0 || a->ts_us >= b->ts_us ||
	       b->ts_us > clock->wall_us(clock->data) + AHEAD_US;
}

void last_note(struct relay *r, const struct dp_identity *identity,
	const struct dp_reading *reading)
{
	struct last *last = last_of(r, reading->sensor);
	const struct shown shown = {.stream = identity->stream,
		.seq = identity->first,
		.ts_us = reading->has_time ? reading->ts_us : 0};
	if (last == NULL ||
		(last->json[0] != '\0' && !last_is_newer(r, &shown, &last->shown)))
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
	last->shown = shown;
	last->json_due = !last->clear_due;
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

bool last_is_online(const struct dp_bus_message *message)
{
	return message->len == strlen("online") &&
	       memcmp(message->payload, "online", message->len) == 0;
}

void last_note_online(struct relay *r, struct last *last, bool online)
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
	claims_note(r, last, message);
}

/* A sampler's last will: all that is its own is away too. */
void last_note_sampler(struct relay *r, const struct dp_bus_message *message)
{
	const char *instance = strrchr(message->topic, '/') + 1;
	claims_note_sampler(r, instance, last_is_online(message));
}

bool last_has_outputs(const struct relay *r)
{
	size_t i = 0;
	while (i < r->n_last && !r->last[i].is_output)
		i++;
	return i < r->n_last;
}

/* @return whether the connection is still there */
static bool tell(struct relay *r, const char *what, const struct last *last,
	const char *text, const char *content_type)
{
	char topic[DP_TOPIC_MAX], stream[DP_STREAM_HEX + 1], seq[24];
	struct dp_property properties[3];
	size_t n = 0;
	/* What is needed when it is read back: whose it is, and which reading. */
	if (last->sampler[0] != '\0')
		properties[n++] = (struct dp_property){"sampler", last->sampler};
	if (content_type != NULL && last->shown.seq != 0) {
		dp_hex_encode(last->shown.stream.bytes, DP_STREAM_BYTES, stream);
		snprintf(seq, sizeof(seq), "%" PRIu64, last->shown.seq);
		properties[n++] = (struct dp_property){"stream", stream};
		properties[n++] = (struct dp_property){"first", seq};
	}
	snprintf(topic, sizeof(topic), "%s/%s/%s", what, r->config->node_name, last->name);
	const struct dp_bus_message message = {.topic = topic,
		.payload = text,
		.len = strlen(text),
		.qos = 1,
		.retain = true,
		.content_type = content_type,
		.properties = properties,
		.n_properties = n};
	int err = dp_bus_publish(r->uplink.bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish what is known of a sensor or output",
			"topic=%s error=\"%s\"", topic, strerror(-err));
	return err != -ENOTCONN;
}

static bool send_one(struct relay *r, struct last *last)
{
	if (last->clear_due)
		return tell(r, "state", last, "", NULL) &&
		       tell(r, "status", last, "", NULL);
	if (last->json_due && !tell(r, "state", last, last->json, "application/json"))
		return false;
	last->json_due = false;
	if (last->status_due &&
		!tell(r, "status", last, last->online ? "online" : "offline", NULL))
		return false;
	last->status_due = false;
	return true;
}

static bool is_due(const struct last *last)
{
	return last->json_due || last->status_due || last->clear_due;
}

void last_send(struct relay *r)
{
	if (!r->last_due || r->uplink.bus == NULL || !dp_bus_connected(r->uplink.bus))
		return;
	bool soon = relay_now(r) - r->last_ms < LAST_EVERY_MS || !r->recalled;
	bool all = true;
	size_t i = 0;
	while (i < r->n_last) {
		struct last *last = &r->last[i];
		bool cleared = false;
		/* Somebody waits for an output's; sensors' may be many. */
		if (soon && !last->is_output)
			all = all && !is_due(last);
		else if (!send_one(r, last))
			return;
		else
			cleared = last->clear_due;
		if (cleared)
			*last = r->last[--r->n_last];
		else
			i++;
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

void last_stop(struct relay *r)
{
	bool connected = r->uplink.bus != NULL && dp_bus_connected(r->uplink.bus);
	for (size_t i = 0; i < r->n_last && connected; i++) {
		if (r->last[i].told)
			last_note_online(r, &r->last[i], false);
		connected = send_one(r, &r->last[i]);
	}
}

int64_t last_deadline(const struct relay *r)
{
	int64_t due = r->settle_ms;
	if (r->uplink.bus == NULL || !dp_bus_connected(r->uplink.bus))
		return due;
	if (r->recalling && r->recall_until_ms < due)
		due = r->recall_until_ms;
	if (r->last_due && r->recalled && r->last_ms + LAST_EVERY_MS < due)
		due = r->last_ms + LAST_EVERY_MS;
	return due;
}
