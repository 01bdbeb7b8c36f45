/*
 * Two pruners at one store, in a world of this file's: its time, its broker, a store that
 * fails at random. It stands in place of libuv, the bus and a run.
 */
#ifndef TEST_PRUNER_WORLD_H
#define TEST_PRUNER_WORLD_H

#include "bus.h"
#include "log.h"
#include "retention-pruner/prune.h"
#include "retention-pruner/pruner.h"
#include "stats.h"
#include "support.h"

#include <errno.h>

#define SECOND_NS INT64_C(1000000000)
#define PRUNERS 2
#define ORDERS 64

struct prune {
	struct prune_run run;
	struct prune_report report;
	int steps;
};

struct dp_bus {
	struct dp_bus_options options;
	bool closed;
};

struct replica {
	struct dp_service service;
	struct pruner_config config;
	struct pruner *pruner; /* NULL: it does not run */
	struct dp_bus bus;
	uv_timer_t *timer;
	uv_timer_cb on_timer;
	int64_t timer_ns; /* 0: not set */
	uv_work_t *work;
	uv_after_work_cb after;
	int64_t work_ns;
	bool stopping;
};

static struct {
	int64_t now_ns;
	unsigned seed;
	struct replica at[PRUNERS];
	int starting;	 /* whose pruner_start() runs */
	int failing;	 /* of a hundred calls */
	bool broker;	 /* it is there */
	char holder[64]; /* of the lease */
	int64_t expires_ns;
	int posted;
	bool dry_run[ORDERS], confirm[ORDERS], heard[ORDERS];
	int answers[ORDERS];
	int n_told; /* said by a pruner to the others, on its way */
	struct {
		char text[700];
		size_t len;
	} told[ORDERS];
} world;

static int chance(int n)
{
	world.seed = world.seed * 1103515245u + 12345u;
	return (int)((world.seed >> 16) % (unsigned)n);
}

static bool fails(void)
{
	return chance(100) < world.failing;
}

/* ---- in place of libuv ---- */

uint64_t uv_hrtime(void)
{
	return (uint64_t)world.now_ns;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
	(void)loop;
	world.at[world.starting].timer = timer;
	return 0;
}

static struct replica *of_timer(const void *timer)
{
	return world.at[0].timer == timer ? &world.at[0] : &world.at[1];
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms, uint64_t repeat)
{
	struct replica *r = of_timer(timer);
	(void)repeat;
	r->on_timer = cb;
	r->timer_ns = world.now_ns + (int64_t)ms * 1000000 + 1;
	return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
	(void)cb;
	of_timer(handle)->timer_ns = 0;
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb cb, uv_after_work_cb after)
{
	struct replica *r = &world.at[0].service.loop == loop ? &world.at[0] : &world.at[1];
	cb(work);
	r->work = work;
	r->after = after;
	r->work_ns = world.now_ns + 1 + chance(3) * SECOND_NS / 10;
	return 0;
}

/* ---- in place of the bus ---- */

int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options)
{
	(void)loop;
	*out = &world.at[world.starting].bus;
	**out = (struct dp_bus){.options = *options};
	return 0;
}

static void deliver(const struct dp_bus_message *message)
{
	for (int i = 0; i < PRUNERS; i++) {
		struct dp_bus *bus = &world.at[i].bus;
		if (world.at[i].pruner != NULL && !bus->closed)
			bus->options.on_message(bus->options.data, message);
	}
}

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	(void)bus;
	if (!world.broker)
		return -ENOTCONN;
	if (strcmp(message->topic, "retention/answered") == 0) {
		assert_true(world.n_told < ORDERS && message->len <= 700);
		memcpy(world.told[world.n_told].text, message->payload, message->len);
		world.told[world.n_told++].len = message->len;
	}
	if (strncmp(message->topic, "answers/", 8) != 0)
		return 0;
	long which = strtol(message->topic + 8, NULL, 10);
	char text[1024];
	snprintf(text, sizeof(text), "%.*s", (int)message->len,
		(const char *)message->payload);
	world.answers[which]++;
	bool error = strstr(text, "\"error\"") != NULL;
	bool looked = strstr(text, "\"outcome\":\"dry_run\"") != NULL;
	assert_true(error || looked == world.dry_run[which]);
	if (world.confirm[which])
		assert_true(error || strstr(text, "\"outcome\":\"done\"") != NULL);
	return 0;
}

void dp_bus_subscribe(struct dp_bus *bus, const char *filter)
{
	(void)bus, (void)filter;
}

bool dp_bus_connected(const struct dp_bus *bus)
{
	(void)bus;
	return world.broker;
}

const char *dp_bus_health(const struct dp_bus *bus)
{
	(void)bus;
	return "away";
}

void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data))
{
	(void)closed;
	bus->closed = true;
}

void dp_stats_start(struct dp_stats *stats, uv_loop_t *loop, struct dp_bus *bus,
	const char *topic, const struct dp_stat *table, size_t n, int64_t period_s)
{
	(void)stats, (void)loop, (void)bus, (void)topic, (void)table, (void)n;
	(void)period_s;
}

void dp_stats_stop(struct dp_stats *stats)
{
	(void)stats;
}

void dp_service_stop(struct dp_service *service, int exit_code)
{
	(void)service;
	fail_msg("stopped with exit code %d", exit_code);
}

void dp_service_safe(struct dp_service *service)
{
	(void)service;
}

/* ---- in place of the store ---- */

int prune_open(struct prune **out, const struct prune_ops *ops, const char *store_url)
{
	(void)ops, (void)store_url;
	if (fails())
		return -EBUSY;
	*out = calloc(1, sizeof(**out));
	assert_non_null(*out);
	return 0;
}

void prune_close(struct prune *prune)
{
	free(prune);
}

void prune_hurry(struct prune *prune)
{
	(void)prune;
}

const char *prune_why(const struct prune *prune)
{
	(void)prune;
	return "\"busy\"\n";
}

int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us)
{
	(void)prune, (void)now_us;
	if (fails())
		return -EBUSY;
	lease->held = world.expires_ns <= world.now_ns ||
		      strcmp(world.holder, lease->holder) == 0;
	if (!lease->held)
		return 0;
	snprintf(world.holder, sizeof(world.holder), "%s", lease->holder);
	world.expires_ns = world.now_ns + lease->ttl_us * 1000;
	return 0;
}

int prune_release(struct prune *prune, struct dp_lease *lease)
{
	(void)prune;
	lease->held = false;
	if (strcmp(world.holder, lease->holder) == 0)
		world.expires_ns = 0;
	return 0;
}

void prune_begin(struct prune *prune, const struct prune_run *run)
{
	prune->run = *run;
	prune->report =
		(struct prune_report){.outcome = run->dry_run ? PRUNE_LOOKED : PRUNE_DID};
	prune->steps = chance(4);
	/* What is asked about is done when somebody has said so, and is not yet answered.
	 */
	bool ordered = !run->confirmed;
	for (int i = 0; i < world.posted; i++)
		ordered |= world.confirm[i] && world.answers[i] == 0;
	assert_true(ordered);
}

int prune_step(struct prune *prune, int64_t *rows, bool *done)
{
	if (fails())
		return -EBUSY;
	*done = prune->steps-- <= 0;
	*rows = prune->run.dry_run ? 0 : 1;
	return 0;
}

void prune_took(struct prune *prune, int64_t took_us)
{
	(void)prune, (void)took_us;
}

int prune_checkpoint(struct prune *prune)
{
	(void)prune;
	return 0;
}

const struct prune_report *prune_report(const struct prune *prune)
{
	return &prune->report;
}

/* ---- the world ---- */

static int64_t wall_us(void *data)
{
	(void)data;
	return INT64_C(1790000000000000) + world.now_ns / 1000;
}

static int64_t boot_ns(void *data)
{
	(void)data;
	return world.now_ns;
}

static int synchronised(void *data)
{
	(void)data;
	return 1;
}

static void start(int i)
{
	static const char *const names[] = {"a", "b"};
	struct replica *r = &world.at[i];
	*r = (struct replica){.config = {.node_name = "broker",
				      .retention = "raw:1d",
				      .interval_s = 3600,
				      .pause_ms = 20}};
	r->config.service.instance = names[i];
	r->service.clock = (struct dp_clock){
		.wall_us = wall_us, .boot_ns = boot_ns, .synchronised = synchronised};
	world.starting = i;
	r->pruner = pruner_start(&r->service, &r->config);
}

static void deliver_told(void)
{
	for (int i = 0; i < world.n_told; i++) {
		const struct dp_bus_message message = {.topic = "retention/answered",
			.payload = world.told[i].text,
			.len = world.told[i].len};
		deliver(&message);
	}
	world.n_told = 0;
}

static void end_if_closed(struct replica *r)
{
	if (!r->stopping || !r->bus.closed)
		return;
	pruner_destroy(r->pruner);
	r->pruner = NULL;
}

/* Whatever is due next happens. @return false when nothing is before until_ns */
static bool happen(int64_t until_ns)
{
	struct replica *next = NULL;
	int64_t next_ns = until_ns;
	for (int i = 0; i < PRUNERS; i++) {
		struct replica *r = &world.at[i];
		int64_t due_ns = r->work != NULL ? r->work_ns : r->timer_ns;
		if (r->pruner != NULL && due_ns != 0 && due_ns < next_ns) {
			next = r;
			next_ns = due_ns;
		}
	}
	world.now_ns = next_ns;
	if (next == NULL)
		return false;
	if (next->work != NULL) {
		uv_work_t *work = next->work;
		next->work = NULL;
		next->after(work, 0);
	} else {
		next->timer_ns = 0;
		next->on_timer(next->timer);
	}
	deliver_told();
	end_if_closed(next);
	return true;
}

static void pass(int64_t ns)
{
	int64_t until_ns = world.now_ns + ns;
	while (happen(until_ns))
		;
}

#endif
