#include "last.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../tick.h"
#include "log.h"
#include "number.h"

#define APART_MS 500
#define APART_ALONG_MS 1000 /* where batches wait for each other: with them */

static int64_t now_ms(const struct last *last)
{
	return (int64_t)uv_now(last->loop);
}

static int64_t wall_us(const struct last *last)
{
	return last->clock->wall_us(last->clock->data);
}

void last_init(struct last *last, uv_loop_t *loop, const struct dp_clock *clock,
	const struct publisher_config *config)
{
	*last = (struct last){.loop = loop,
		.clock = clock,
		.node = config->node_name,
		.apart_ms = config->answer_ms > 0 ? APART_ALONG_MS : APART_MS,
		.json_qos = config->answer_ms > 0 || config->send_every_ms > 0 ? 0 : 1,
		.metered = config->metered,
		.every_ms = config->send_every_ms};
	last->recall = (struct recall){.names = &last->names, .node = last->node};
	claims_init(&last->claims, &last->names);
}

void last_open(struct last *last, struct dp_bus *bus)
{
	last->bus = bus;
	claims_expect(&last->claims, now_ms(last));
}

static bool connected(const struct last *last)
{
	return last->bus != NULL && dp_bus_connected(last->bus);
}

/* ---- what comes in ---- */

void last_local_connected(struct last *last)
{
	claims_expect(&last->claims, now_ms(last));
}

void last_local_disconnected(struct last *last)
{
	claims_forget(&last->claims, now_ms(last));
}

void last_message(struct last *last, const struct dp_bus_message *message)
{
	if (strncmp(message->topic, "state/", 6) != 0 &&
		strncmp(message->topic, "status/", 7) != 0)
		return;
	const struct known *known = recall_message(&last->recall, message, wall_us(last));
	if (known != NULL && !known->claimed)
		claims_expect(&last->claims, now_ms(last));
}

void last_reading(struct last *last, const struct dp_identity *identity,
	const struct dp_reading *reading)
{
	struct known *known = known_of(&last->names, reading->sensor);
	const struct shown shown = {.stream = identity->stream,
		.stream_bytes = DP_STREAM_BYTES,
		.seq = identity->first,
		.ts_us = reading->has_time ? reading->ts_us : 0};
	if (known == NULL || (known->json[0] != '\0' &&
				     !shown_is_newer(&shown, &known->shown, wall_us(last))))
		return;
	char json[sizeof(known->json)] = "{";
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
	memcpy(known->json, json, len + 2);
	known->shown = shown;
	known->json_due = !known->clear_due;
	last->names.due = true;
	if (last->waiting_ms == 0)
		last->waiting_ms = now_ms(last);
}

void last_output(struct last *last, const struct dp_bus_message *message)
{
	struct known *known = known_of_topic(&last->names, message->topic);
	if (known == NULL || message->len == 0 || message->len >= sizeof(known->json))
		return;
	memcpy(known->json, message->payload, message->len);
	known->json[message->len] = '\0';
	known->is_output = known->json_due = true;
	last->names.due = true;
	last_send(last, false);
}

void last_status(struct last *last, const struct dp_bus_message *message)
{
	struct known *known = known_of_topic(&last->names, message->topic);
	if (known != NULL)
		claims_note(&last->claims, known, message);
}

/* A sampler's last will: all that is its own is away too. */
void last_sampler(struct last *last, const struct dp_bus_message *message)
{
	claims_note_sampler(&last->claims, strrchr(message->topic, '/') + 1,
		known_says_online(message), now_ms(last));
}

bool last_has_outputs(const struct last *last)
{
	size_t i = 0;
	while (i < last->names.n && !last->names.at[i].is_output)
		i++;
	return i < last->names.n;
}

/* ---- what goes out ---- */

/* On the name's topic, retained. @return whether the connection is still there */
static bool publish(const struct last *last, const char *what, const struct known *known,
	const struct dp_bus_message *message)
{
	char topic[DP_TOPIC_MAX];
	struct dp_bus_message out = *message;
	snprintf(topic, sizeof(topic), "%s/%s/%s", what, last->node, known->name);
	out.topic = topic;
	out.retain = true;
	int err = dp_bus_publish(last->bus, &out);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish what is known of a sensor or output",
			"topic=%s error=\"%s\"", topic, strerror(-err));
	return err != -ENOTCONN;
}

/* Whose it is, for whoever reads it back. @return how many properties */
static size_t whose(const struct known *known, struct dp_property *property)
{
	*property = (struct dp_property){"sampler", known->sampler};
	return known->sampler[0] != '\0';
}

static bool tell_status(const struct last *last, const struct known *known)
{
	struct dp_property property;
	const char *text = known->online ? "online" : "offline";
	const struct dp_bus_message message = {.payload = text,
		.len = strlen(text),
		.qos = 1,
		.properties = &property,
		.n_properties = whose(known, &property)};
	return publish(last, "status", known, &message);
}

static bool tell_state(const struct last *last, const struct known *known)
{
	struct dp_property properties[1 + SHOWN_PROPERTIES];
	struct shown_text text;
	bool brief = last->metered && !known->is_output;
	/* Its status, which this connection has carried, says whose it is too. */
	bool said = brief && known->told && !known->status_due;
	size_t n = said ? 0 : whose(known, properties);
	shown_encode(&known->shown, brief, &text);
	memcpy(properties + n, text.properties, text.n * sizeof(*properties));
	/* A sensor's that got lost with its connection is sent again after the next. */
	const struct dp_bus_message message = {.payload = known->json,
		.len = strlen(known->json),
		.qos = known->is_output ? 1 : last->json_qos,
		.often = brief,
		.content_type = brief ? NULL : "application/json",
		.properties = properties,
		.n_properties = n + text.n};
	return publish(last, "state", known, &message);
}

static bool clear(const struct last *last, const struct known *known)
{
	const struct dp_bus_message nothing = {.payload = "", .qos = 1};
	return publish(last, "state", known, &nothing) &&
	       publish(last, "status", known, &nothing);
}

/* @param json  a sensor's state too; what is an output's never waits */
static bool send_one(struct last *last, struct known *known, bool json)
{
	if (known->clear_due)
		return clear(last, known);
	if (known->json_due && (json || known->is_output)) {
		if (!tell_state(last, known))
			return false;
		known->json_due = false;
	}
	if (known->status_due && !tell_status(last, known))
		return false;
	known->status_due = false;
	return true;
}

static bool is_due(const struct known *known)
{
	return known->json_due || known->status_due || known->clear_due;
}

/* When sensors' states are sent. */
static int64_t json_ms(const struct last *last)
{
	return last->waiting_ms == 0 ? 0 : tick_after(last->waiting_ms, last->every_ms);
}

/* Whether nothing is due but sensors' states. */
static bool only_json_waits(const struct last *last)
{
	size_t i = 0;
	while (i < last->names.n) {
		const struct known *known = &last->names.at[i];
		if (known->status_due || known->clear_due ||
			(known->json_due && known->is_output))
			break;
		i++;
	}
	return i == last->names.n;
}

void last_send(struct last *last, bool along)
{
	if (!last->names.due || !connected(last))
		return;
	bool soon = (now_ms(last) - last->sent_ms < last->apart_ms && !along) ||
		    !last->recall.done;
	bool json = now_ms(last) >= json_ms(last);
	bool all = true;
	size_t i = 0;
	while (i < last->names.n) {
		struct known *known = &last->names.at[i];
		bool cleared = false;
		/* Somebody waits for an output's; sensors' may be many. */
		if (!soon || known->is_output) {
			if (!send_one(last, known, json))
				return;
			cleared = known->clear_due;
		}
		if (cleared) {
			*known = last->names.at[--last->names.n];
			continue;
		}
		all = all && !is_due(known);
		i++;
	}
	last->names.due = !all;
	if (soon)
		return;
	last->sent_ms = now_ms(last);
	if (json)
		last->waiting_ms = 0;
}

void last_connected(struct last *last)
{
	recall_start(&last->recall, last->bus, now_ms(last));
	for (size_t i = 0; i < last->names.n; i++) {
		struct known *known = &last->names.at[i];
		known->json_due = known->json[0] != '\0';
		known->status_due = known->told;
	}
	last->names.due = last->names.n > 0;
	last->waiting_ms = 0; /* nothing is shown: that does not wait */
}

void last_finish(struct last *last)
{
	bool up = connected(last);
	for (size_t i = 0; i < last->names.n && up; i++) {
		struct known *known = &last->names.at[i];
		if (known->told)
			known_note_online(&last->names, known, false);
		up = send_one(last, known, true);
	}
}

void last_decide(struct last *last)
{
	claims_decide(&last->claims, now_ms(last));
	recall_expire(&last->recall, now_ms(last));
}

int64_t last_deadline(const struct last *last)
{
	int64_t due = last->claims.decide_ms;
	if (!connected(last))
		return due;
	if (last->recall.under_way && last->recall.until_ms < due)
		due = last->recall.until_ms;
	if (last->names.due && last->recall.done) {
		int64_t send_ms = last->sent_ms + last->apart_ms;
		if (only_json_waits(last) && json_ms(last) > send_ms)
			send_ms = json_ms(last);
		if (send_ms < due)
			due = send_ms;
	}
	return due;
}
