#include "sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "log.h"
#include "outputs.h"
#include "presence.h"
#include "sensors.h"
#include "settings.h"
#include "stats.h"
#include "uplink.h"

#define SAMPLER_STATS 8

struct sampler {
	struct dp_service *service;
	const struct sampler_config *config;
	struct settings settings;
	const char *names[SENSORS_MAX];
	struct pins pins;
	struct presence presence;
	struct sensors sensors;
	struct outputs outputs;
	struct uplink uplink;
	char stats_topic[160];
	char client_id[80];
	struct dp_bus *bus;
	bool stopping;
	struct dp_stats stats;
	struct dp_stat table[SAMPLER_STATS];
};

/* ---- the bus ---- */

static void say_what_is_here(struct sampler *s)
{
	presence_begin(&s->presence);
	for (size_t i = 0; i < s->sensors.n; i++)
		presence_tell(&s->presence, s->names[i], s->sensors.at[i].available);
	outputs_connected(&s->outputs);
}

static void on_connect(void *data)
{
	struct sampler *s = data;
	say_what_is_here(s);
	presence_listen(&s->presence);
	uplink_connected(&s->uplink);
}

static void on_disconnect(void *data)
{
	struct sampler *s = data;
	outputs_disconnected(&s->outputs);
	uplink_disconnected(&s->uplink);
}

static void on_refused(void *data, const char *topic, int reason)
{
	struct sampler *s = data;
	(void)reason; /* logged by the bus */
	uplink_refused(&s->uplink, topic);
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct sampler *s = data;
	/* A publisher that has just come has not heard what was said before. */
	if (!s->stopping && (strcmp(message->topic, UPLINK_HELLO) == 0 ||
				    presence_is_denied(&s->presence, message)))
		say_what_is_here(s);
	if (strcmp(message->topic, UPLINK_PUBLISHER) == 0)
		uplink_publisher(&s->uplink, message);
	if (!outputs_message(&s->outputs, message))
		uplink_message(&s->uplink, message);
}

static void open_bus(struct sampler *s)
{
	const char *stream = s->uplink.stream_hex;
	snprintf(s->client_id, sizeof(s->client_id), "dewpoint-sampler-%.16s", stream);
	const struct dp_bus_options options = {
		.url = s->config->mqtt_url,
		.tls = &s->config->service.tls,
		.client_id = s->client_id,
		.clean_start = true,
		.will_topic = s->presence.will_topic,
		.will_payload = "offline",
		.data = s,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
		.on_refused = on_refused,
	};
	if (dp_bus_open(&s->bus, &s->service->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
	s->presence.bus = s->bus;
}

static void start_stats(struct sampler *s)
{
	const struct uplink *up = &s->uplink;
	const struct dp_stat table[] = {{"readings", &up->readings},
		{"accepted", &up->accepted}, {"dropped", &up->dropped},
		{"failed", &s->sensors.failed}, {"resent", &up->resent},
		{"in_flight", &up->ring.in_flight}, {"commands", &s->outputs.commands},
		{"commands_refused", &s->outputs.refused}};
	_Static_assert(sizeof(table) <= sizeof(s->table), "SAMPLER_STATS is too small");
	memcpy(s->table, table, sizeof(table));
	snprintf(s->stats_topic, sizeof(s->stats_topic), "local/stats/sampler/%s",
		s->config->service.instance);
	dp_stats_start(&s->stats, &s->service->loop, s->bus, s->stats_topic, s->table,
		sizeof(table) / sizeof(table[0]), s->config->service.stats_period_s);
}

/* ---- the sensors ---- */

static int on_reading(void *data, unsigned sensor, const struct driver_outcome *outcome)
{
	struct sampler *s = data;
	return uplink_keep(&s->uplink, sensor, outcome->values, outcome->n);
}

static void on_available(void *data, unsigned sensor, bool available)
{
	struct sampler *s = data;
	dp_log(DP_LOG_INFO, available ? "a sensor is available" : "a sensor is unavailable",
		"sensor=%s", s->names[sensor]);
	presence_tell(&s->presence, s->names[sensor], available);
}

static int open_sensors(struct sampler *s)
{
	char why[256];
	const uint8_t *random = s->uplink.stream.bytes;
	const struct sensors_options options = {
		.list = &s->settings.sensors,
		.host = {.loop = &s->service->loop,
			.tag = (uint32_t)(random[0] | random[1] << 8 |
					  (random[2] & 15) << 16),
			.pins = &s->pins},
		.period_ms = s->config->period_ms,
		.reading = on_reading,
		.available = on_available,
		.data = s,
	};
	int err = sensors_open(&s->sensors, &options, why, sizeof(why));
	if (err != 0)
		settings_reject_sensors(s->config, why);
	return err;
}

static int open_outputs(struct sampler *s)
{
	char why[256];
	struct outputs_options options = {
		.loop = &s->service->loop,
		.clock = &s->service->clock,
		.list = &s->settings.outputs,
		.pins = &s->pins,
		.presence = &s->presence,
	};
	dp_clock_parse_trust(s->config->clock_trust, &options.trust);
	int err = outputs_open(&s->outputs, &options, why, sizeof(why));
	if (err != 0)
		settings_reject_outputs(s->config, why);
	return err;
}

/* ---- start and stop ---- */

static void emptied(void *data)
{
	struct sampler *s = data;
	dp_bus_close(s->bus, NULL);
	dp_service_safe(s->service);
}

static int open_uplink(struct sampler *s)
{
	struct uplink_options options = {
		.loop = &s->service->loop,
		.clock = &s->service->clock,
		.names = s->names,
		.ring_size = s->config->ring_size,
		.window = s->config->window,
		.ledger = s->config->ledger,
		.emptied = emptied,
		.data = s,
	};
	dp_clock_parse_trust(s->config->clock_trust, &options.trust);
	int err = uplink_init(&s->uplink, &options);
	if (err != 0)
		dp_config_reject(
			"LEDGER", s->config->ledger, "a file that can be appended to");
	return err;
}

static void free_sampler(struct sampler *s)
{
	uplink_finish(&s->uplink);
	settings_finish(&s->settings);
	free(s);
}

static int open_all(struct sampler *s)
{
	/* It was checked before; a file may have changed since. */
	int err = settings_load(&s->settings, s->config);
	if (err != 0)
		return err;
	for (size_t i = 0; i < s->settings.sensors.n; i++)
		s->names[i] = s->settings.sensors.specs[i].spec->name;
	s->pins.board = s->settings.board;
	presence_init(&s->presence, s->config->service.instance);
	err = open_uplink(s);
	/* Outputs last: with a wrong pin in SENSORS nothing moves. */
	if (err == 0)
		err = open_sensors(s);
	return err == 0 ? open_outputs(s) : err;
}

struct sampler *sampler_start(
	struct dp_service *service, const struct sampler_config *config, int *exit_code)
{
	struct sampler *s = calloc(1, sizeof(*s));
	if (s == NULL)
		dp_log_out_of_memory("the sampler");
	s->service = service;
	s->config = config;
	s->uplink.ledger.fd = -1;
	if (open_all(s) != 0) {
		outputs_close(&s->outputs);
		sensors_close(&s->sensors);
		*exit_code = dp_service_abandon(service, DP_EX_CONFIG);
		free_sampler(s);
		return NULL;
	}
	open_bus(s);
	uplink_start(&s->uplink, s->bus);
	start_stats(s);
	dp_log(DP_LOG_INFO, "sampling", "sensors=%zu outputs=%zu period_ms=%lld stream=%s",
		s->settings.sensors.n, s->settings.outputs.n, (long long)config->period_ms,
		s->uplink.stream_hex);
	return s;
}

void sampler_stop(void *data)
{
	struct sampler *s = data;
	s->stopping = true;
	for (size_t i = 0; i < s->sensors.n; i++)
		presence_tell(&s->presence, s->names[i], false);
	outputs_close(&s->outputs);
	sensors_close(&s->sensors);
	presence_end(&s->presence);
	dp_stats_stop(&s->stats);
	uplink_stop(&s->uplink);
}

const char *sampler_health(void *data)
{
	struct sampler *s = data;
	if (dp_bus_health(s->bus) != NULL)
		return dp_bus_health(s->bus);
	return s->uplink.refused ? "the broker refuses readings (local/reading/...): allow "
				   "them in its rights"
				 : NULL;
}

void sampler_destroy(struct sampler *s)
{
	free_sampler(s);
}
