#include "sampler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "bus.h"
#include "identity.h"
#include "ledger.h"
#include "log.h"
#include "number.h"
#include "random.h"
#include "reading.h"
#include "ring.h"
#include "sensor.h"
#include "stats.h"
#include "version.h"

#define RESEND_FIRST_MS 10000
#define RESEND_LIMIT_MS 60000
#define STOP_WAIT_MS 1000
#define FAILURES_PER_LOG 10

/* A sensor at work. The read is first: the driver hands it back. */
struct sensor {
	struct driver_read read;
	struct sampler *sampler;
	const struct sensor_spec *spec;
	void *state;
	uv_timer_t timer;
	uint64_t deadline_ms; /* of the next read, on the loop's clock */
	bool reading;	      /* a read is under way */
	unsigned failures;    /* in a row */
};

struct sampler {
	struct dp_service *service;
	const struct sampler_config *config;
	struct sensor_list list;
	struct sensor sensors[SENSORS_MAX];
	size_t n_sensors; /* opened */
	struct ring ring;
	struct ledger ledger;
	struct dp_stream_id stream;
	char stream_hex[DP_STREAM_HEX + 1];
	char ack_topic[64];
	char stats_topic[160];
	char client_id[80];
	enum dp_clock_trust trust;
	struct dp_bus *bus;
	struct dp_stats stats;
	struct dp_stat table[6];
	uv_timer_t resend; /* runs while something is in flight; then the stop's patience */
	uint64_t resend_ms;
	bool stopping;
	uint64_t readings, accepted, dropped, failed, resent; /* statistics */
};

static const char sensors_allowed[] =
	"name=driver@argument[,option=value], comma-separated; "
	"e.g. climate=replay@/captures/dht11_1mhz.csv";

static int parse_trust(const char *text, enum dp_clock_trust *trust)
{
	static const char *const names[] = {"auto", "kernel", "always"};
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			*trust = (enum dp_clock_trust)i;
			return 0;
		}
	}
	return -EINVAL;
}

int sampler_check(const void *data)
{
	const struct sampler_config *config = data;
	struct sensor_list list;
	enum dp_clock_trust trust;
	char why[256];
	int err = sensor_list_parse(&list, config->sensors, why, sizeof(why));
	if (err != 0) {
		dp_log(DP_LOG_ERROR, "bad setting",
			"name=SENSORS value=\"%s\" allowed=\"%s\" reason=\"%s\"",
			config->sensors, sensors_allowed, why);
	}
	sensor_list_finish(&list);
	if (err == 0 && parse_trust(config->clock_trust, &trust) != 0) {
		dp_config_reject(
			"CLOCK_TRUST", config->clock_trust, "auto, kernel, always");
		err = -EINVAL;
	}
	return err;
}

/* ---- towards the publisher ---- */

static void on_resend(uv_timer_t *timer);

static void arm_resend(struct sampler *s)
{
	if (s->stopping)
		return;
	if (s->ring.in_flight > 0)
		uv_timer_start(&s->resend, on_resend, s->resend_ms, 0);
	else
		uv_timer_stop(&s->resend);
}

static int publish_item(struct sampler *s, const struct ring_item *item, uint64_t seq)
{
	struct dp_identity identity = {
		.stream = s->stream,
		.first = seq,
		.count = 1,
		.low = s->ring.low,
		.clock = (enum dp_clock_mark)item->clock,
		.boottime_ns = item->boottime_ns,
	};
	memcpy(identity.boot, s->service->clock.boot_id, sizeof(identity.boot));
	struct dp_identity_text text;
	dp_identity_encode(&identity, &text);
	char topic[DP_TOPIC_MAX];
	snprintf(
		topic, sizeof(topic), "local/reading/%s", s->list.specs[item->sensor].name);
	const struct dp_bus_message message = {
		.topic = topic,
		.payload = item->json,
		.len = item->len,
		.qos = 1,
		.content_type = DP_CONTENT_TYPE,
		.response_topic = s->ack_topic,
		.properties = text.properties,
		.n_properties = text.n,
	};
	return dp_bus_publish(s->bus, &message);
}

static void pump(struct sampler *s)
{
	bool idle = s->ring.in_flight == 0;
	while (dp_bus_connected(s->bus) &&
		s->ring.in_flight < (uint64_t)s->config->window) {
		uint64_t seq;
		const struct ring_item *item = ring_send(&s->ring, &seq);
		if (item == NULL)
			break;
		int err = publish_item(s, item, seq);
		if (err == 0)
			continue;
		ring_unsend(&s->ring, seq);
		if (err != -ENOTCONN)
			dp_log(DP_LOG_ERROR, "cannot publish a reading", "error=\"%s\"",
				strerror(-err));
		break;
	}
	if (idle && s->ring.in_flight > 0)
		arm_resend(s);
}

static void on_resend(uv_timer_t *timer)
{
	struct sampler *s = timer->data;
	dp_log(DP_LOG_WARN, "the publisher does not answer, sending again",
		"readings=%llu after_ms=%llu", (unsigned long long)s->ring.in_flight,
		(unsigned long long)s->resend_ms);
	s->resent += s->ring.in_flight;
	s->resend_ms =
		s->resend_ms * 2 > RESEND_LIMIT_MS ? RESEND_LIMIT_MS : s->resend_ms * 2;
	ring_rewind(&s->ring);
	pump(s);
}

static void on_connect(void *data)
{
	struct sampler *s = data;
	int err = dp_bus_subscribe(s->bus, s->ack_topic);
	if (err == 0)
		err = dp_bus_subscribe(s->bus, "local/hello");
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot subscribe", "error=\"%s\"", strerror(-err));
	pump(s);
}

static void on_disconnect(void *data)
{
	struct sampler *s = data;
	ring_rewind(&s->ring);
	arm_resend(s);
}

static void finish_stop(struct sampler *s);

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct sampler *s = data;
	if (range->kind == DP_ACK_LATER ||
		memcmp(&range->stream, &s->stream, sizeof(s->stream)) != 0)
		return;
	uint64_t accepted = ring_accept(&s->ring, range->first, range->count);
	if (accepted == 0)
		return;
	s->accepted += accepted;
	s->resend_ms = RESEND_FIRST_MS;
	ledger_range(&s->ledger, "accepted", range->first, range->count);
}

static void on_error(void *data, const char *reason)
{
	(void)data;
	dp_log(DP_LOG_WARN, "the publisher could not read a message", "reason=\"%s\"",
		reason);
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct sampler *s = data;
	if (strcmp(message->topic, "local/hello") == 0) {
		ring_rewind(&s->ring);
	} else {
		uint64_t low = s->ring.low;
		int err = dp_ack_decode(
			message->payload, message->len, on_range, on_error, s);
		if (err != 0)
			dp_log(DP_LOG_WARN, "malformed answer", "error=\"%s\"",
				strerror(-err));
		/* Answers to others do not help the oldest: its time goes on. */
		if (s->ring.low != low || s->ring.in_flight == 0)
			arm_resend(s);
	}
	pump(s);
	if (s->stopping && s->ring.low == s->ring.next)
		finish_stop(s);
}

/* ---- from the sensors ---- */

static void keep(
	struct sampler *s, struct sensor *sensor, const struct driver_outcome *outcome)
{
	const struct dp_clock *clock = &s->service->clock;
	enum dp_clock_mark mark = dp_clock_mark(clock, s->trust, dp_build_epoch);
	struct dp_reading reading = {
		.sensor = dp_slice(sensor->spec->name),
		.has_time = mark != DP_CLOCK_NONE,
		.n = outcome->n,
	};
	if (reading.has_time)
		reading.ts_us = clock->wall_us(clock->data);
	memcpy(reading.values, outcome->values, sizeof(reading.values));

	char json[DP_READING_JSON];
	json[0] = '[';
	int n = dp_reading_encode(&reading, json + 1, sizeof(json) - 2);
	if (n < 0) {
		dp_log(DP_LOG_ERROR, "a driver yields a reading that cannot be sent",
			"sensor=%s driver=%s error=\"%s\"", sensor->spec->name,
			sensor->spec->driver->name, strerror(-n));
		s->failed++;
		return;
	}
	json[n + 1] = ']';
	struct ring_item item = {
		.json = malloc((size_t)n + 2),
		.len = (uint32_t)n + 2,
		.sensor = (uint16_t)(sensor->spec - s->list.specs),
		.clock = (uint8_t)mark,
		.boottime_ns = clock->boot_ns(clock->data),
	};
	if (item.json == NULL)
		dp_log_out_of_memory("a reading");
	memcpy(item.json, json, item.len);
	ledger_reading(&s->ledger, s->ring.next, &reading);
	s->readings++;
	uint64_t oldest = s->ring.low;
	if (ring_push(&s->ring, &item) > 0) {
		if (s->dropped++ == 0)
			dp_log(DP_LOG_ERROR,
				"the ring is full, the oldest readings are dropped",
				"ring_size=%lld", (long long)s->config->ring_size);
		ledger_range(&s->ledger, "dropped", oldest, 1);
	}
	pump(s);
}

static void on_due(uv_timer_t *timer);

/* Absolute deadlines: what a read takes does not shift the next. Missed ones are skipped.
 */
static void schedule(struct sensor *sensor)
{
	uint64_t period = (uint64_t)sensor->sampler->config->period_ms;
	uint64_t now = uv_now(sensor->timer.loop);
	sensor->deadline_ms += period;
	if (sensor->deadline_ms < now)
		sensor->deadline_ms += (now - sensor->deadline_ms) / period * period;
	uint64_t wait = sensor->deadline_ms > now ? sensor->deadline_ms - now : 0;
	uv_timer_start(&sensor->timer, on_due, wait, 0);
}

static void read_done(struct driver_read *read, const struct driver_outcome *outcome)
{
	struct sensor *sensor = (struct sensor *)read;
	struct sampler *s = sensor->sampler;
	sensor->reading = false;
	if (s->stopping)
		return;
	if (outcome->failure != NULL) {
		s->failed++;
		if (sensor->failures++ % FAILURES_PER_LOG == 0)
			dp_log(DP_LOG_WARN, "a sensor cannot be read",
				"sensor=%s cause=%s in_a_row=%u", sensor->spec->name,
				outcome->failure, sensor->failures);
		return;
	}
	if (outcome->n == 0)
		return;
	if (sensor->failures > 0)
		dp_log(DP_LOG_INFO, "a sensor can be read again", "sensor=%s failures=%u",
			sensor->spec->name, sensor->failures);
	sensor->failures = 0;
	keep(s, sensor, outcome);
}

static void on_due(uv_timer_t *timer)
{
	struct sensor *sensor = timer->data;
	/* A driver that is still busy misses a turn and delays nobody. */
	if (!sensor->reading) {
		sensor->reading = true;
		sensor->spec->driver->read(sensor->state, &sensor->read);
	}
	schedule(sensor);
}

static int open_sensors(struct sampler *s)
{
	char why[256];
	uint32_t tag = (uint32_t)(s->stream.bytes[0] | s->stream.bytes[1] << 8 |
				  (s->stream.bytes[2] & 15) << 16);
	for (size_t i = 0; i < s->list.n; i++) {
		struct sensor *sensor = &s->sensors[i];
		*sensor = (struct sensor){.read = {.done = read_done},
			.sampler = s,
			.spec = &s->list.specs[i]};
		if (sensor->spec->driver->open(&sensor->state, &s->service->loop,
			    sensor->spec, tag, why, sizeof(why)) != 0) {
			dp_log(DP_LOG_ERROR, "bad setting",
				"name=SENSORS value=\"%s\" allowed=\"%s@ and %s\" "
				"sensor=%s reason=\"%s\"",
				s->config->sensors, sensor->spec->driver->name,
				sensor->spec->driver->argument, sensor->spec->name, why);
			return -EINVAL;
		}
		s->n_sensors++;
		uv_timer_init(&s->service->loop, &sensor->timer);
		sensor->timer.data = sensor;
		/* Spread over the period, so that the sensors do not all fire at once. */
		uint64_t offset = (uint64_t)s->config->period_ms * i / s->list.n;
		sensor->deadline_ms = uv_now(&s->service->loop) + offset;
		uv_timer_start(&sensor->timer, on_due, offset, 0);
	}
	return 0;
}

static void close_sensors(struct sampler *s)
{
	for (size_t i = 0; i < s->n_sensors; i++)
		uv_close((uv_handle_t *)&s->sensors[i].timer, NULL);
}

static void free_sampler(struct sampler *s)
{
	for (size_t i = 0; i < s->n_sensors; i++)
		s->sensors[i].spec->driver->close(s->sensors[i].state);
	ledger_close(&s->ledger);
	ring_finish(&s->ring);
	sensor_list_finish(&s->list);
	free(s);
}

static void start_stats(struct sampler *s)
{
	const struct dp_stat table[] = {{"readings", &s->readings},
		{"accepted", &s->accepted}, {"dropped", &s->dropped},
		{"failed", &s->failed}, {"resent", &s->resent},
		{"in_flight", &s->ring.in_flight}};
	memcpy(s->table, table, sizeof(table));
	dp_stats_start(&s->stats, &s->service->loop, s->bus, s->stats_topic, s->table,
		sizeof(table) / sizeof(table[0]), s->config->service.stats_period_s);
}

struct sampler *sampler_start(
	struct dp_service *service, const struct sampler_config *config, int *exit_code)
{
	struct sampler *s = calloc(1, sizeof(*s));
	char why[256];
	if (s == NULL)
		dp_log_out_of_memory("the sampler");
	s->service = service;
	s->config = config;
	s->resend_ms = RESEND_FIRST_MS;
	dp_random(s->stream.bytes, sizeof(s->stream.bytes));
	dp_hex_encode(s->stream.bytes, DP_STREAM_BYTES, s->stream_hex);
	if (ring_init(&s->ring, (size_t)config->ring_size) != 0)
		dp_log_out_of_memory("the ring");
	parse_trust(config->clock_trust, &s->trust);
	sensor_list_parse(&s->list, config->sensors, why, sizeof(why));
	int err = ledger_open(&s->ledger, config->ledger, s->stream_hex);
	if (err != 0)
		dp_config_reject(
			"LEDGER", config->ledger, "a file that can be appended to");
	if (err != 0 || open_sensors(s) != 0) {
		close_sensors(s);
		*exit_code = dp_service_abandon(service, DP_EX_CONFIG);
		free_sampler(s);
		return NULL;
	}

	snprintf(s->ack_topic, sizeof(s->ack_topic), "local/ack/%s", s->stream_hex);
	snprintf(s->client_id, sizeof(s->client_id), "dewpoint-sampler-%.16s",
		s->stream_hex);
	snprintf(s->stats_topic, sizeof(s->stats_topic), "local/stats/sampler/%s",
		config->service.instance);
	uv_timer_init(&service->loop, &s->resend);
	s->resend.data = s;
	const struct dp_bus_options options = {
		.url = config->mqtt_url,
		.ca_file = config->service.tls_ca_file,
		.client_id = s->client_id,
		.clean_start = true,
		.data = s,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
	};
	if (dp_bus_open(&s->bus, &service->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
	start_stats(s);
	dp_log(DP_LOG_INFO, "sampling", "sensors=%zu period_ms=%lld stream=%s", s->list.n,
		(long long)config->period_ms, s->stream_hex);
	return s;
}

/* The last word of a stream: nothing below `low` will ever come. */
static void say_goodbye(struct sampler *s)
{
	const struct dp_identity identity = {
		.stream = s->stream, .first = s->ring.next, .low = s->ring.low};
	struct dp_identity_text text;
	char topic[DP_TOPIC_MAX];
	dp_identity_encode(&identity, &text);
	snprintf(topic, sizeof(topic), "local/reading/%s", s->list.specs[0].name);
	const struct dp_bus_message message = {
		.topic = topic,
		.payload = "",
		.qos = 1,
		.content_type = DP_CONTENT_TYPE,
		.response_topic = s->ack_topic,
		.properties = text.properties,
		.n_properties = text.n,
	};
	int err = dp_bus_publish(s->bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot close the stream", "error=\"%s\"",
			strerror(-err));
}

/* What nobody has accepted goes with the process: the centre may close the gap. */
static void give_up(struct sampler *s)
{
	uint64_t first, count, left = 0;
	while ((count = ring_unaccepted(&s->ring, 0, &first)) > 0) {
		ledger_range(&s->ledger, "unaccepted", first, count);
		ring_accept(&s->ring, first, count);
		left += count;
	}
	if (left > 0)
		dp_log(DP_LOG_WARN, "stopping with readings that nobody has accepted",
			"readings=%llu", (unsigned long long)left);
}

static void finish_stop(struct sampler *s)
{
	give_up(s);
	say_goodbye(s);
	uv_close((uv_handle_t *)&s->resend, NULL);
	dp_bus_close(s->bus, NULL);
	dp_service_safe(s->service);
}

static void on_stop_timeout(uv_timer_t *timer)
{
	finish_stop(timer->data);
}

void sampler_stop(void *data)
{
	struct sampler *s = data;
	s->stopping = true;
	close_sensors(s);
	dp_stats_stop(&s->stats);
	if (s->ring.low == s->ring.next || !dp_bus_connected(s->bus))
		finish_stop(s);
	else
		uv_timer_start(&s->resend, on_stop_timeout, STOP_WAIT_MS, 0);
}

const char *sampler_health(void *data)
{
	struct sampler *s = data;
	return dp_bus_connected(s->bus) ? NULL : dp_bus_trouble(s->bus);
}

void sampler_destroy(struct sampler *s)
{
	free_sampler(s);
}
