#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "relay.h"

#define LAST_EVERY_MS 500

static struct last *last_of(struct relay *r, struct dp_slice sensor)
{
	for (size_t i = 0; i < r->n_last; i++) {
		if (dp_slice_equal(dp_slice(r->last[i].sensor), sensor))
			return &r->last[i];
	}
	if (r->n_last == RELAY_SENSORS)
		return NULL;
	struct last *last = &r->last[r->n_last++];
	memcpy(last->sensor, sensor.at, sensor.len);
	last->sensor[sensor.len] = '\0';
	last->ts_us = INT64_MIN;
	return last;
}

void last_note(struct relay *r, const struct dp_reading *reading)
{
	struct last *last = last_of(r, reading->sensor);
	/* What comes late from a ring does not replace what is newer. */
	if (last == NULL || reading->ts_us <= last->ts_us)
		return;
	char json[sizeof(last->json)];
	int n = snprintf(json, sizeof(json), "{\"time\":%" PRId64 ".%06" PRId64,
		reading->ts_us / 1000000, reading->ts_us % 1000000);
	size_t len = (size_t)n;
	for (unsigned i = 0; i < reading->n && len < sizeof(json); i++) {
		char number[32];
		dp_format_double(number, reading->values[i].value);
		len += (size_t)snprintf(json + len, sizeof(json) - len, ",\"%.*s\":%s",
			(int)reading->values[i].quantity.len,
			reading->values[i].quantity.at, number);
	}
	if (len + 2 > sizeof(json))
		return;
	memcpy(json + len, "}", 2);
	memcpy(last->json, json, len + 2);
	last->ts_us = reading->ts_us;
	last->due = true;
	r->last_due = true;
}

void last_send(struct relay *r)
{
	if (!r->last_due || !dp_bus_connected(r->upstream) ||
		relay_now(r) - r->last_ms < LAST_EVERY_MS)
		return;
	for (size_t i = 0; i < r->n_last; i++) {
		struct last *last = &r->last[i];
		if (!last->due)
			continue;
		char topic[DP_TOPIC_MAX];
		snprintf(topic, sizeof(topic), "state/%s/%s", r->config->node_name,
			last->sensor);
		const struct dp_bus_message message = {.topic = topic,
			.payload = last->json,
			.len = strlen(last->json),
			.qos = 1,
			.retain = true,
			.content_type = "application/json"};
		int err = dp_bus_publish(r->upstream, &message);
		if (err == -ENOTCONN)
			return;
		if (err != 0)
			dp_log(DP_LOG_WARN, "cannot publish a sensor's state",
				"topic=%s error=\"%s\"", topic, strerror(-err));
		last->due = false;
	}
	r->last_due = false;
	r->last_ms = relay_now(r);
}

void last_send_all(struct relay *r)
{
	for (size_t i = 0; i < r->n_last; i++)
		r->last[i].due = true;
	r->last_due = r->n_last > 0;
}

int64_t last_deadline(const struct relay *r)
{
	if (!r->last_due || r->upstream == NULL || !dp_bus_connected(r->upstream))
		return INT64_MAX;
	return r->last_ms + LAST_EVERY_MS;
}
