#include "model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "bus.h"
#include "log.h"
#include "number.h"
#include "random.h"

#define PLAUSIBLE_US INT64_C(1900000000000000)
#define BOOT_NS INT64_C(5000000000)
#define RESEND_MS                                                                          \
	3000	 /* above SPILL_AFTER_MS: a last word is written once nothing comes        \
		  */
#define SPIN 200 /* wakeups in a row without anything to do */
#define RESTARTS 100
#define NODE "node"

struct model model;

static void strange(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void strange(const char *format, ...)
{
	va_list args;
	if (model.strange[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(model.strange, sizeof(model.strange), format, args);
	va_end(args);
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "model: %s\n", what);
	exit(2);
}

/* ---- in place of log.o, random.o and service.o ---- */

void dp_log_init(const char *service, enum dp_log_level level)
{
	(void)service, (void)level;
}

void dp_log(enum dp_log_level level, const char *msg, const char *fields, ...)
{
	char line[sizeof(model.last_error)];
	size_t len = (size_t)snprintf(line, sizeof(line), "%s ", msg);
	if (fields != NULL && len < sizeof(line)) {
		va_list args;
		va_start(args, fields);
		vsnprintf(line + len, sizeof(line) - len, fields, args);
		va_end(args);
	}
	if (model.verbose)
		fprintf(stderr, "%7" PRId64 " %d %s\n", model.now_ms, (int)level, line);
	if (level < DP_LOG_WARN)
		return;
	model.warnings += level == DP_LOG_WARN;
	model.errors += level == DP_LOG_ERROR;
	memcpy(model.last_error, line, sizeof(line));
}

void dp_log_out_of_memory(const char *what)
{
	fprintf(stderr, "model: out of memory for %s, which nothing has caused\n", what);
	abort();
}

void dp_random(void *buf, size_t len)
{
	static uint8_t next = 1;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = next++;
}

void dp_service_stop(struct dp_service *service, int exit_code)
{
	if (service->stopping)
		return;
	service->stopping = true;
	model.exit_code = exit_code;
	relay_stop(model.relay);
}

void dp_service_safe(struct dp_service *service)
{
	(void)service;
	model.stopped = true;
}

static int64_t wall_us(void *data)
{
	(void)data;
	return (model.clock_set ? PLAUSIBLE_US : 0) + model.now_ms * 1000;
}

static int64_t boot_ns(void *data)
{
	(void)data;
	return BOOT_NS + model.now_ms * 1000000;
}

static int synchronised(void *data)
{
	(void)data;
	return model.clock_set;
}

/* ---- in place of libuv's clock, work queue and timer ---- */

static struct {
	uv_work_t *work;
	uv_work_cb run;
	uv_after_work_cb done;
} queued;

static int64_t wait_ms; /* what the publisher's timer was set to; negative: not set */

/* The linker's --wrap gives these names.
 * NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c) */
uint64_t __wrap_uv_now(const uv_loop_t *loop);
int __wrap_uv_queue_work(
	uv_loop_t *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb done);
int __wrap_uv_timer_start(
	uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return (uint64_t)model.now_ms;
}

int __wrap_uv_queue_work(
	uv_loop_t *loop, uv_work_t *work, uv_work_cb run, uv_after_work_cb done)
{
	(void)loop;
	must(queued.work == NULL, "two works at a time");
	queued.work = work;
	queued.run = run;
	queued.done = done;
	model.works++;
	return 0;
}

int __wrap_uv_timer_start(
	uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	(void)cb, (void)repeat;
	if (model.relay != NULL && timer == &model.relay->timer)
		wait_ms = (int64_t)timeout;
	return 0;
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c) */

/* ---- in place of bus.o ---- */

struct dp_bus {
	struct dp_bus_options options;
	bool up, local;
};

static struct dp_bus buses[2];

/* Answers on their way to the publisher: they come from the loop. */
static struct {
	char topic[DP_TOPIC_MAX], correlation[96];
	size_t correlation_len;
	char *json;
	size_t len;
} answers[2 * SENDER_WINDOW];
static size_t n_answers;

static struct {
	char topic[DP_TOPIC_MAX];
	int reason;
} refusals[2 * SENDER_WINDOW];
static size_t n_refusals;

static struct model_sampler *sampler_of(const struct dp_stream_id *id)
{
	for (unsigned i = 0; i < MODEL_STREAMS; i++) {
		if (model.samplers[i].next != 0 &&
			memcmp(&model.samplers[i].id, id, sizeof(*id)) == 0)
			return &model.samplers[i];
	}
	return NULL;
}

/* What a reading of that number says, so that no other can be taken for it. */
static double value_of(const struct model_sampler *sampler, uint64_t seq)
{
	return (double)((uint64_t)(sampler - model.samplers + 1) * 1000000 + seq);
}

static void store(struct model_sampler *sampler, uint64_t seq, struct dp_senml *pack)
{
	struct dp_reading reading;
	const char *why;
	if (dp_senml_next(pack, &reading, &why) != 1 || seq >= MODEL_READINGS)
		return;
	/* Its number was closed as lost: nothing can be stored there any more. */
	if (!sampler->lost[seq])
		sampler->stored[seq] = true;
	if (reading.values[0].value != value_of(sampler, seq))
		sampler->strange[seq] = true;
}

static void answer(const struct dp_bus_message *message, char *json, size_t len)
{
	must(n_answers < sizeof(answers) / sizeof(answers[0]), "too many answers");
	snprintf(answers[n_answers].topic, DP_TOPIC_MAX, "%s", message->response_topic);
	memcpy(answers[n_answers].correlation, message->correlation,
		message->correlation_len);
	answers[n_answers].correlation_len = message->correlation_len;
	answers[n_answers].json = json;
	answers[n_answers++].len = len;
}

/* As ingest does it: store, close below `low`, answer. */
static void take_batch(const struct dp_bus_message *message)
{
	struct dp_identity identity;
	const char *why = "";
	char *json = NULL;
	size_t len = 0;
	if (dp_identity_decode(
		    message->properties, message->n_properties, &identity, &why) != 0) {
		strange("a batch without an identity: %s", why);
		return;
	}
	struct model_sampler *sampler = sampler_of(&identity.stream);
	const struct dp_ack_range range = {
		DP_ACK_STORED, identity.stream, identity.first, identity.count, NULL};
	struct dp_senml *pack = NULL;
	if (identity.count > 0 && dp_senml_open(&pack, message->payload, message->len,
					  DP_SENML_NATIVE, 0, &why) != 0)
		strange("a batch that cannot be read: %s", why);
	if (pack != NULL && dp_senml_count(pack) != identity.count)
		strange("a batch of another count than it says");
	for (uint64_t i = 0; sampler != NULL && pack != NULL && i < identity.count; i++)
		store(sampler, identity.first + i, pack);
	dp_senml_close(pack);
	for (uint64_t seq = 1;
		sampler != NULL && seq < identity.low && seq < MODEL_READINGS; seq++)
		sampler->lost[seq] = !sampler->stored[seq];
	if (!model.centre_answers)
		return;
	if (identity.count == 0)
		answer(message, strdup("{}"), 2);
	else if (dp_ack_encode(&range, 1, &json, &len) == 0)
		answer(message, json, len);
}

static void take_up(const struct dp_bus_message *message)
{
	size_t len = strlen(message->topic);
	if (len < 6 || strcmp(message->topic + len - 6, "/batch") != 0)
		return;
	model.batches++;
	if (message->len > model.largest)
		model.largest = message->len;
	int reason = model.refuse_with;
	if (model.refuse_above != 0 && message->len > model.refuse_above)
		reason = 0x95;
	if (reason == 0) {
		take_batch(message);
		return;
	}
	model.refusals++;
	must(n_refusals < sizeof(refusals) / sizeof(refusals[0]), "too many refusals");
	snprintf(refusals[n_refusals].topic, DP_TOPIC_MAX, "%s", message->topic);
	refusals[n_refusals++].reason = reason;
}

static void on_accepted(void *data, const struct dp_ack_range *range)
{
	struct model_sampler *sampler = sampler_of(&range->stream);
	(void)data;
	for (uint64_t i = 0; sampler != NULL && i < range->count; i++) {
		if (range->first + i < MODEL_READINGS)
			sampler->accepted[range->first + i] = true;
	}
}

static void on_accept_error(void *data, const char *reason)
{
	(void)data, (void)reason;
}

int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options)
{
	(void)loop;
	bool local = strcmp(options->url, model.config.mqtt_url) == 0;
	struct dp_bus *bus = &buses[local];
	*bus = (struct dp_bus){.options = *options, .local = local};
	*out = bus;
	return 0;
}

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	if (!bus->up)
		return -ENOTCONN;
	if (bus->local && strncmp(message->topic, "local/ack/", 10) == 0)
		dp_ack_decode(
			message->payload, message->len, on_accepted, on_accept_error, NULL);
	else if (!bus->local)
		take_up(message);
	return 0;
}

int dp_bus_subscribe(struct dp_bus *bus, const char *filter)
{
	(void)filter;
	return bus->up ? 0 : -ENOTCONN;
}

int dp_bus_unsubscribe(struct dp_bus *bus, const char *filter)
{
	return dp_bus_subscribe(bus, filter);
}

bool dp_bus_connected(const struct dp_bus *bus)
{
	return bus->up;
}

const char *dp_bus_health(const struct dp_bus *bus)
{
	return bus->up ? NULL : "the broker is away";
}

const char *dp_bus_reason(int reason)
{
	(void)reason;
	return "refused";
}

const char *dp_bus_trouble(const struct dp_bus *bus)
{
	return bus->up ? "" : "the broker is away";
}

bool dp_bus_congested(struct dp_bus *bus)
{
	(void)bus;
	return false;
}

void dp_bus_pause(struct dp_bus *bus, bool paused)
{
	(void)bus, (void)paused;
}

void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data))
{
	(void)closed;
	bus->up = false;
	bus->options.on_message = NULL;
}

/* ---- what comes in ---- */

static void set_up(struct dp_bus *bus, bool up)
{
	if (bus->options.on_message == NULL || bus->up == up)
		return;
	bus->up = up;
	if (up)
		bus->options.on_connect(bus->options.data);
	else
		bus->options.on_disconnect(bus->options.data);
}

static void deliver_answers(void)
{
	for (size_t i = 0; i < n_answers; i++) {
		const struct dp_bus_message message = {.topic = answers[i].topic,
			.payload = answers[i].json,
			.len = answers[i].len,
			.correlation = answers[i].correlation,
			.correlation_len = answers[i].correlation_len};
		if (buses[0].up)
			buses[0].options.on_message(buses[0].options.data, &message);
		free(answers[i].json);
	}
	n_answers = 0;
	for (size_t i = 0; i < n_refusals && buses[0].up; i++)
		buses[0].options.on_refused(
			buses[0].options.data, refusals[i].topic, refusals[i].reason);
	n_refusals = 0;
}

static uint64_t low_of(const struct model_sampler *sampler)
{
	uint64_t low = 1;
	while (low < sampler->next && sampler->accepted[low])
		low++;
	return low;
}

static void send_reading(struct model_sampler *sampler, uint64_t seq, uint32_t count)
{
	struct dp_identity identity = {.stream = sampler->id,
		.first = seq,
		.count = count,
		.low = low_of(sampler)};
	struct dp_identity_text text;
	char json[160] = "", time[48] = "";
	if (sampler->undated && count > 0) {
		identity.clock = DP_CLOCK_NONE;
		memcpy(identity.boot, model.service.clock.boot_id, sizeof(identity.boot));
		identity.boottime_ns = BOOT_NS + (int64_t)seq * 1000000;
	} else {
		snprintf(time, sizeof(time), "\"bt\":%" PRId64 ".%06" PRIu64 ",",
			PLAUSIBLE_US / 1000000, seq);
	}
	int n = count == 0 ? 0
			   : snprintf(json, sizeof(json),
				     "[{\"bn\":\"s/\",%s\"n\":\"t\",\"v\":%.0f}]", time,
				     value_of(sampler, seq));
	dp_identity_encode(&identity, &text);
	const struct dp_bus_message message = {.topic = "local/reading/s",
		.payload = json,
		.len = (size_t)n,
		.properties = text.properties,
		.n_properties = text.n};
	buses[1].options.on_message(buses[1].options.data, &message);
}

static void send_again(void)
{
	for (unsigned i = 0; i < MODEL_STREAMS; i++) {
		struct model_sampler *sampler = &model.samplers[i];
		bool open = false;
		for (uint64_t seq = 1; seq < sampler->next; seq++) {
			if (!sampler->accepted[seq])
				send_reading(sampler, seq, 1);
			open = open || !sampler->accepted[seq];
		}
		if (sampler->closed && !open)
			send_reading(sampler, sampler->next, 0);
	}
}

void model_sampler_begin(unsigned n, uint64_t next)
{
	model.samplers[n] = (struct model_sampler){.next = next};
	model.samplers[n].id.bytes[0] = (uint8_t)(n + 1);
}

void model_sample(unsigned n)
{
	struct model_sampler *sampler = &model.samplers[n];
	must(sampler->next + 1 < MODEL_READINGS, "MODEL_READINGS is too small");
	sampler->next++;
	if (buses[1].up)
		send_reading(sampler, sampler->next - 1, 1);
}

void model_close(unsigned n)
{
	model.samplers[n].closed = true;
	if (buses[1].up)
		send_reading(&model.samplers[n], model.samplers[n].next, 0);
}

/* ---- running ---- */

void model_reset(const char *path)
{
	bool verbose = model.verbose;
	model = (struct model){.exit_code = -1,
		.verbose = verbose,
		.clock_set = true,
		.centre_answers = true};
	snprintf(model.path, sizeof(model.path), "%s", path);
	model.config = (struct publisher_config){.node_name = NODE,
		.mqtt_url = "mqtt://local",
		.upstream_url = "mqtt://centre",
		.topic_prefix = "/data",
		.outbox = model.path,
		.outbox_full = "refuse",
		.outbox_max_bytes = INT64_C(1) << 30,
		.clock_trust = "auto",
		.clock_wait_max = "1h",
		.spill_after_ms = 2000,
		.batch_size = 500};
	model.config.service.instance = "model";
	model.config.service.stats_period_s = 60;
	model.config.service.tls_ca_file = "";
}

void model_start(void)
{
	struct dp_clock clock = {.wall_us = wall_us,
		.boot_ns = boot_ns,
		.synchronised = synchronised,
		.boot_id = "11111111-2222-3333-4444-555555555555"};
	model.service =
		(struct dp_service){.config = &model.config.service, .clock = clock};
	must(uv_loop_init(&model.service.loop) == 0, "no loop");
	model.stopped = false;
	model.exit_code = -1;
	queued.work = NULL;
	memset(buses, 0, sizeof(buses));
	model.relay = relay_start(&model.service, &model.config);
}

static void end(void)
{
	for (size_t i = 0; i < n_answers; i++)
		free(answers[i].json);
	n_answers = n_refusals = 0;
	memset(buses, 0, sizeof(buses));
	uv_run(&model.service.loop, UV_RUN_DEFAULT);
	must(uv_loop_close(&model.service.loop) == 0, "a handle is left open");
	relay_destroy(model.relay);
	model.relay = NULL;
}

/* One iteration of the loop, and the work that it has given away. */
static void turn(void)
{
	struct relay *r = model.relay;
	wait_ms = -1;
	if (!model.stopped)
		r->prepare.prepare_cb(&r->prepare);
	if (queued.work != NULL) {
		uv_work_t *work = queued.work;
		queued.run(work);
		queued.work = NULL;
		queued.done(work, 0);
		wait_ms = 0;
	}
}

/* As a restart policy does it, a second later. */
static void restart_if_ended(void)
{
	if (!model.stopped)
		return;
	end();
	model.now_ms += 1000;
	if (++model.restarts > RESTARTS)
		strange("it ends by itself again and again");
	model_start();
}

void model_run(int64_t ms)
{
	int64_t until = model.now_ms + ms, resend_ms = model.now_ms;
	unsigned idle = 0;
	while (model.now_ms < until && model.strange[0] == '\0') {
		unsigned works = model.works, batches = model.batches;
		set_up(&buses[1], true);
		set_up(&buses[0], model.centre_up);
		if (buses[1].up && model.now_ms >= resend_ms) {
			send_again();
			resend_ms = model.now_ms + RESEND_MS;
		}
		bool answered = n_answers + n_refusals > 0;
		deliver_answers();
		turn();
		restart_if_ended();
		idle = wait_ms == 0 && works == model.works && batches == model.batches &&
				       !answered
			       ? idle + 1
			       : 0;
		if (idle > SPIN)
			strange("it spins");
		int64_t step = wait_ms < 0 || wait_ms > 100 ? 100 : wait_ms;
		if (wait_ms == 0 && idle < SPIN / 2 && works == model.works)
			continue;
		/* Work takes time, and an answer a moment. */
		model.now_ms += step > 0 ? step : 5;
	}
}

int model_stop(void)
{
	if (!model.service.stopping) {
		model.service.stopping = true;
		relay_stop(model.relay);
	}
	for (unsigned i = 0; i < 100 && !model.stopped; i++) {
		turn();
		model.now_ms += 10;
	}
	must(model.stopped, "it does not stop");
	int code = model.exit_code < 0 ? 0 : model.exit_code;
	end();
	return code;
}

void model_kill(void)
{
	struct relay *r = model.relay;
	if (r->uplink.bus != NULL)
		dp_stats_stop(&r->stats);
	uv_close((uv_handle_t *)&r->prepare, NULL);
	uv_close((uv_handle_t *)&r->timer, NULL);
	end();
}

/* ---- the verdict ---- */

bool model_settled(void)
{
	const struct relay *r = model.relay;
	for (unsigned i = 0; i < MODEL_STREAMS; i++) {
		const struct model_sampler *s = &model.samplers[i];
		for (uint64_t seq = 1; seq < s->next; seq++) {
			if (!s->accepted[seq] || (!s->stored[seq] && !s->lost[seq]))
				return false;
		}
	}
	return r->queue.opened && r->in_memory == 0 && r->in_outbox == 0;
}

const char *model_judge(void)
{
	static char text[256];
	if (model.strange[0] != '\0')
		return model.strange;
	for (unsigned i = 0; i < MODEL_STREAMS; i++) {
		const struct model_sampler *s = &model.samplers[i];
		for (uint64_t seq = 1; seq < s->next; seq++) {
			const char *what = s->strange[seq]     ? "has another one's content"
					   : s->stored[seq]    ? NULL
					   : !s->accepted[seq] ? "is not accepted"
					   : s->forgiven[seq]  ? NULL
							       : "is accepted and missing";
			if (what == NULL)
				continue;
			snprintf(text, sizeof(text), "stream %u: reading %" PRIu64 " %s", i,
				seq, what);
			return text;
		}
	}
	return NULL;
}
