#include "pruner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus.h"
#include "log.h"
#include "policies.h"
#include "prune.h"
#include "stats.h"
#include "store.h"

#define LEASE_TTL_US 60000000
#define STANDBY_MS 30000
#define RETRY_MS 5000
#define STREAM_SILENT_US (400 * (int64_t)86400000000)
#define STATS 4
#define MAX_DB_FLOOR 16777216
#define MIN_FREE_FLOOR 1048576

enum task { TASK_BEGIN, TASK_STEP, TASK_RELEASE };

struct pruner {
	struct dp_service *service;
	const struct pruner_config *config;
	struct policies policies;
	struct prune *prune;
	struct dp_lease lease;
	struct dp_bus *bus;
	uv_timer_t timer; /* the next step or the next run */
	uv_work_t work;
	enum task task;
	bool working, stopping, running, done;
	int result, trouble;
	int64_t rows, run_rows;
	uint64_t runs, steps, deleted, longest_step_us;
	struct dp_stats stats;
	struct dp_stat table[STATS];
	char client_id[96], holder[96], stats_topic[192];
};

static int check_bytes(const char *name, int64_t bytes, int64_t least, const char *allowed)
{
	char text[32];
	if (bytes == 0 || bytes >= least)
		return 0;
	snprintf(text, sizeof(text), "%lld", (long long)bytes);
	dp_config_reject(name, text, allowed);
	return -EINVAL;
}

int pruner_check(const void *data)
{
	const struct pruner_config *config = data;
	struct policies policies;
	int err = policies_load(&policies, config->retention, environ);
	policies_finish(&policies);
	if (check_bytes("MAX_DB_BYTES", config->max_db_bytes, MAX_DB_FLOOR,
		    "0 or at least 16777216") != 0)
		err = -EINVAL;
	if (check_bytes("MIN_FREE_BYTES", config->min_free_bytes, MIN_FREE_FLOOR,
		    "0 or at least 1048576") != 0)
		err = -EINVAL;
	return err;
}

/* ---- on the work queue ---- */

static void do_begin(struct pruner *p)
{
	const struct dp_clock *clock = &p->service->clock;
	int64_t now_us = clock->wall_us(clock->data);
	p->result = prune_lease(p->prune, &p->lease, now_us);
	if (p->result == 0 && p->lease.held)
		prune_begin(p->prune, now_us - p->policies.all.raw_us,
			now_us - STREAM_SILENT_US);
}

static void do_work(uv_work_t *work)
{
	struct pruner *p = work->data;
	uint64_t start = uv_hrtime();
	const struct dp_clock *clock = &p->service->clock;
	p->rows = 0;
	switch (p->task) {
	case TASK_BEGIN:
		do_begin(p);
		break;
	case TASK_STEP:
		/* A long run keeps its lease; who has lost it stops at once. */
		p->result = prune_lease(p->prune, &p->lease, clock->wall_us(clock->data));
		if (p->result == 0 && p->lease.held)
			p->result = prune_step(p->prune, &p->rows, &p->done);
		break;
	case TASK_RELEASE:
		p->result = prune_release(p->prune, &p->lease);
		break;
	}
	uint64_t took_us = (uv_hrtime() - start) / 1000;
	if (p->task == TASK_STEP && took_us > p->longest_step_us)
		p->longest_step_us = took_us;
}

/* ---- on the loop ---- */

static void finish_stop(struct pruner *p);
static void work_done(uv_work_t *work, int status);

static void start_task(struct pruner *p, enum task task)
{
	p->task = task;
	p->working = true;
	p->work.data = p;
	uv_queue_work(&p->service->loop, &p->work, do_work, work_done);
}

static void on_timer(uv_timer_t *timer)
{
	struct pruner *p = timer->data;
	if (!p->working)
		start_task(p, p->running ? TASK_STEP : TASK_BEGIN);
}

static void wait_ms(struct pruner *p, int64_t ms)
{
	uv_timer_start(&p->timer, on_timer, (uint64_t)ms, 0);
}

static void note_trouble(struct pruner *p)
{
	if (p->result != p->trouble && p->result != 0)
		dp_log(DP_LOG_WARN, "cannot prune now, trying again", "error=\"%s\"",
			strerror(-p->result));
	if (p->result == 0 && p->trouble != 0)
		dp_log(DP_LOG_INFO, "pruning again", NULL);
	p->trouble = p->result;
}

static void end_run(struct pruner *p)
{
	p->running = false;
	p->runs++;
	if (p->run_rows > 0)
		dp_log(DP_LOG_INFO, "pruned", "rows=%lld longest_step_us=%llu",
			(long long)p->run_rows, (unsigned long long)p->longest_step_us);
}

static void release_or_end(struct pruner *p)
{
	if (p->lease.held)
		start_task(p, TASK_RELEASE);
	else
		finish_stop(p);
}

static void work_done(uv_work_t *work, int status)
{
	struct pruner *p = work->data;
	(void)status;
	p->working = false;
	if (p->task == TASK_RELEASE) {
		finish_stop(p);
		return;
	}
	note_trouble(p);
	/* A newer version is at work here. */
	if (p->result == -EPROTO && !p->stopping) {
		p->lease.held = false;
		dp_service_stop(p->service, EXIT_FAILURE);
		return;
	}
	if (p->stopping) {
		release_or_end(p);
		return;
	}
	if (p->result != 0) {
		wait_ms(p, RETRY_MS);
	} else if (!p->lease.held) {
		p->running = false;
		wait_ms(p, STANDBY_MS);
	} else if (p->task == TASK_BEGIN) {
		p->running = true;
		p->run_rows = 0;
		wait_ms(p, 0);
	} else {
		p->steps++;
		p->run_rows += p->rows;
		p->deleted += (uint64_t)p->rows;
		if (p->done)
			end_run(p);
		wait_ms(p, p->done ? p->config->interval_s * 1000 : p->config->pause_ms);
	}
}

static void on_bus_event(void *data)
{
	(void)data; /* the bus carries statistics only */
}

static void on_bus_message(void *data, const struct dp_bus_message *message)
{
	(void)data, (void)message;
}

static void open_bus(struct pruner *p)
{
	const char *instance = p->config->service.instance;
	snprintf(p->client_id, sizeof(p->client_id), "dewpoint-pruner-%s", instance);
	snprintf(p->stats_topic, sizeof(p->stats_topic), "stats/%s/retention-pruner/%s",
		p->config->node_name, instance);
	const struct dp_bus_options options = {
		.url = p->config->mqtt_url,
		.ca_file = p->config->service.tls_ca_file,
		.client_id = p->client_id,
		.clean_start = true,
		.data = p,
		.on_connect = on_bus_event,
		.on_disconnect = on_bus_event,
		.on_message = on_bus_message,
	};
	if (dp_bus_open(&p->bus, &p->service->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
	const struct dp_stat table[STATS] = {{"runs", &p->runs}, {"steps", &p->steps},
		{"deleted", &p->deleted}, {"longest_step_us", &p->longest_step_us}};
	memcpy(p->table, table, sizeof(table));
	dp_stats_start(&p->stats, &p->service->loop, p->bus, p->stats_topic, p->table,
		STATS, p->config->service.stats_period_s);
}

struct pruner *pruner_start(struct dp_service *service, const struct pruner_config *config)
{
	struct pruner *p = calloc(1, sizeof(*p));
	if (p == NULL)
		dp_log_out_of_memory("the pruner");
	p->service = service;
	p->config = config;
	/* Checked before. */
	policies_load(&p->policies, config->retention, environ);
	if (prune_open(&p->prune, config->store_url) != 0) {
		policies_finish(&p->policies);
		free(p);
		return NULL;
	}
	snprintf(p->holder, sizeof(p->holder), "pruner-%s", config->service.instance);
	p->lease = (struct dp_lease){
		.name = "prune", .holder = p->holder, .ttl_us = LEASE_TTL_US};
	open_bus(p);
	uv_timer_init(&service->loop, &p->timer);
	p->timer.data = p;
	wait_ms(p, 0);
	return p;
}

static void finish_stop(struct pruner *p)
{
	dp_bus_close(p->bus, NULL);
	dp_service_safe(p->service);
}

void pruner_stop(void *data)
{
	struct pruner *p = data;
	p->stopping = true;
	dp_stats_stop(&p->stats);
	uv_close((uv_handle_t *)&p->timer, NULL);
	/* A step is short; a lease given back saves the next one a minute. */
	if (!p->working)
		release_or_end(p);
}

const char *pruner_health(void *data)
{
	struct pruner *p = data;
	if (p->trouble != 0)
		return "the store cannot be pruned; it may be locked or full";
	/* It prunes without a broker, but nobody hears of it. */
	return dp_bus_connected(p->bus) ? NULL : dp_bus_trouble(p->bus);
}

void pruner_destroy(struct pruner *p)
{
	prune_close(p->prune);
	policies_finish(&p->policies);
	free(p);
}
