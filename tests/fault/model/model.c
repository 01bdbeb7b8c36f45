#include "model_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void model_strange(const char *format, ...)
{
	va_list args;
	if (model.strange[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(model.strange, sizeof(model.strange), format, args);
	va_end(args);
}

void model_must(bool ok, const char *what)
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
	model_must(queued.work == NULL, "two works at a time");
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

/* ---- samplers ---- */

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
		.low = low_of(sampler),
		.wait_ms = model.hurried ? 0 : (uint32_t)model.config.within_ms};
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
				     model_value_of(sampler, seq));
	dp_identity_encode(&identity, &text);
	const struct dp_bus_message message = {.topic = "local/reading/s",
		.payload = json,
		.len = (size_t)n,
		.properties = text.properties,
		.n_properties = text.n};
	model_say_at_node(&message);
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
	model_must(sampler->next + 1 < MODEL_READINGS, "MODEL_READINGS is too small");
	sampler->next++;
	if (model_bus_is_up(true))
		send_reading(sampler, sampler->next - 1, 1);
}

void model_close(unsigned n)
{
	model.samplers[n].closed = true;
	if (model_bus_is_up(true))
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
	model.config.service.tls.ca_file = "";
}

void model_start(void)
{
	struct dp_clock clock = {.wall_us = wall_us,
		.boot_ns = boot_ns,
		.synchronised = synchronised,
		.boot_id = "11111111-2222-3333-4444-555555555555"};
	model.service =
		(struct dp_service){.config = &model.config.service, .clock = clock};
	model_must(uv_loop_init(&model.service.loop) == 0, "no loop");
	model.stopped = false;
	model.exit_code = -1;
	queued.work = NULL;
	model_forget_buses();
	model.relay = relay_start(&model.service, &model.config);
}

static void end(void)
{
	model_forget_buses();
	uv_run(&model.service.loop, UV_RUN_DEFAULT);
	model_must(uv_loop_close(&model.service.loop) == 0, "a handle is left open");
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
		model_strange("it ends by itself again and again");
	model_start();
}

void model_run(int64_t ms)
{
	int64_t until = model.now_ms + ms, resend_ms = model.now_ms;
	unsigned idle = 0;
	while (model.now_ms < until && model.strange[0] == '\0') {
		unsigned works = model.works, batches = model.batches;
		model_bus_set_up(true, true);
		model_bus_set_up(false, model.centre_up);
		if (model_bus_is_up(true) && model.now_ms >= resend_ms) {
			send_again();
			resend_ms = model.now_ms + RESEND_MS;
		}
		bool answered = model_answers_wait();
		model_deliver_answers();
		turn();
		restart_if_ended();
		idle = wait_ms == 0 && works == model.works && batches == model.batches &&
				       !answered
			       ? idle + 1
			       : 0;
		if (idle > SPIN)
			model_strange("it spins");
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
	model_must(model.stopped, "it does not stop");
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
