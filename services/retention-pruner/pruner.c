#include "pruner.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "desk.h"
#include "log.h"
#include "policies.h"
#include "prune.h"
#include "stats.h"
#include "stride.h"
#include "timer.h"

#define LEASE_TTL_US 60000000
#define STANDBY_MS 30000
#define RETRY_MS 5000
/* So long an order waits for a run, in which any other pruner's lease would have ended. */
#define ORDER_WAIT_NS 70000000000
#define STANDBY_WAIT_NS 10000000000
#define STREAM_SILENT_US (400 * (int64_t)86400000000)
/*
 * The centre's clock alone forgets no stream: what a node sends again after its stream is
 * forgotten is stored twice. 100,000 streams are 10 MB, and centuries of a node's restarts.
 */
#define STREAMS_KEPT 100000
#define STATS 5
#define LEASE_RENEW_NS 10000000000

enum task { TASK_OPEN, TASK_BEGIN, TASK_STEP, TASK_RELEASE };

struct pruner {
	struct dp_service *service;
	const struct pruner_config *config;
	struct policies policies;
	struct prune *prune; /* NULL until it is open */
	struct dp_lease lease;
	struct desk desk;
	uv_timer_t timer; /* the next step or the next run */
	uv_work_t work;
	enum task task;
	bool working, stopping, running, done;
	bool ordered;		/* the run under way is */
	bool active;		/* it had the lease when it last asked */
	int result, last_error; /* of the call under way, of the one before */
	char why[256];		/* of the last error, in words */
	int64_t rows, took_us;
	uint64_t renewed_ns; /* the lease; 0: not sure */
	uint64_t other_ns;   /* when another pruner was last seen to have it */
	uint64_t begun_ns, run_longest_us, run_steps;
	const char *asked; /* what the last run wanted confirmed */
	uint64_t runs, steps, deleted, counted, longest_step_us;
	struct dp_stats stats;
	struct dp_stat table[STATS];
	char client_id[96], holder[96], stats_topic[192];
};

/* ---- on the work queue ---- */

static void renew(struct pruner *p)
{
	const struct dp_clock *clock = &p->service->clock;
	uint64_t now_ns = uv_hrtime();
	p->result = 0;
	if (p->renewed_ns != 0 && p->lease.held && now_ns < p->renewed_ns + LEASE_RENEW_NS)
		return;
	p->result = prune_lease(p->prune, &p->lease, clock->wall_us(clock->data));
	p->renewed_ns = p->result == 0 ? now_ns : 0;
}

static void do_step(struct pruner *p)
{
	/* A long run keeps its lease; who has lost it stops. */
	renew(p);
	if (p->result != 0 || !p->lease.held)
		return;
	uint64_t start = uv_hrtime();
	p->result = prune_step(p->prune, &p->rows, &p->done);
	p->took_us = (int64_t)((uv_hrtime() - start) / 1000);
	prune_took(p->prune, p->took_us);
	if (p->result == 0)
		p->result = prune_checkpoint(p->prune);
	if (p->result != 0)
		p->renewed_ns = 0;
}

static void do_work(uv_work_t *work)
{
	struct pruner *p = work->data;
	p->rows = 0;
	p->took_us = 0;
	switch (p->task) {
	case TASK_OPEN:
		p->result = prune_open(&p->prune, p->config->ops, p->config->store_url);
		break;
	case TASK_BEGIN:
		renew(p);
		break;
	case TASK_STEP:
		do_step(p);
		break;
	case TASK_RELEASE:
		p->result = prune_release(p->prune, &p->lease);
		break;
	}
}

/* ---- on the loop ---- */

static void work_done(uv_work_t *work, int status);

static void start_task(struct pruner *p, enum task task)
{
	p->task = task;
	p->working = true;
	p->work.data = p;
	int err = uv_queue_work(&p->service->loop, &p->work, do_work, work_done);
	assert(err == 0); /* it refuses only a missing callback */
	(void)err;
}

static void on_timer(uv_timer_t *timer)
{
	struct pruner *p = timer->data;
	enum task next = p->running ? TASK_STEP : TASK_BEGIN;
	if (!p->working)
		start_task(p, p->prune == NULL ? TASK_OPEN : next);
}

static void wait_ms(struct pruner *p, int64_t ms)
{
	timer_start(&p->timer, on_timer, (uint64_t)ms);
}

static void note_result(struct pruner *p)
{
	const char *why = p->prune != NULL ? prune_why(p->prune) : NULL;
	if (p->result == -EUCLEAN)
		why = "the database is damaged; ingest looks through it, sets it aside and "
		      "begins "
		      "a new one";
	snprintf(p->why, sizeof(p->why), "%s", why != NULL ? why : strerror(-p->result));
	if (p->result != p->last_error && p->result != 0 && p->result != -EPROTO)
		dp_log(DP_LOG_WARN, "cannot prune now, trying again", "error=\"%s\"",
			p->why);
	if (p->result == 0 && p->last_error != 0 && p->last_error != -EAGAIN)
		dp_log(DP_LOG_INFO, "pruning again", NULL);
	p->last_error = p->result;
}

static void end_run(struct pruner *p)
{
	const struct prune_report *report = prune_report(p->prune);
	const struct dp_clock *clock = &p->service->clock;
	const struct order_times times = {.now_us = clock->wall_us(clock->data),
		.duration_ms = (int64_t)((uv_hrtime() - p->begun_ns) / 1000000),
		.longest_step_us = (int64_t)p->run_longest_us,
		.steps = (int64_t)p->run_steps};
	p->running = false;
	p->runs++;
	p->counted += (uint64_t)report->counted;
	if (report->outcome == PRUNE_DID && report->readings + report->rollups > 0)
		dp_log(DP_LOG_INFO, "pruned",
			"readings=%lld rollups=%lld longest_step_us=%llu",
			(long long)report->readings, (long long)report->rollups,
			(unsigned long long)p->run_longest_us);
	if (report->odd > 0)
		dp_log(DP_LOG_WARN,
			"values too large to be those of a sensor are in no minute and "
			"hour",
			"values=%lld", (long long)report->odd);
	if (report->reason != NULL && report->reason != p->asked)
		dp_log(DP_LOG_WARN,
			report->outcome == PRUNE_ASKS
				? "nothing is pruned until retention/run gets "
				  "{\"confirm\":true}"
			: report->outcome == PRUNE_FAILED
				? "a run was ended early; the next one goes on"
				: "pruning is not enough",
			"reason=\"%s\"", report->reason);
	p->asked = report->reason;
	desk_report(&p->desk, report, &times);
}

static void note_step(struct pruner *p)
{
	p->steps++;
	p->run_steps++;
	p->deleted += (uint64_t)p->rows;
	if ((uint64_t)p->took_us > p->run_longest_us)
		p->run_longest_us = (uint64_t)p->took_us;
	if (p->run_longest_us > p->longest_step_us)
		p->longest_step_us = p->run_longest_us;
}

static int64_t next_wait_ms(struct pruner *p)
{
	if (!p->done)
		return stride_pause_ms(p->took_us, p->config->pause_ms);
	return desk_waits(&p->desk) ? 0 : p->config->interval_s * 1000;
}

static void release_or_end(struct pruner *p)
{
	if (p->lease.held)
		start_task(p, TASK_RELEASE);
	else
		desk_close(&p->desk);
}

/* With the lease: only now is an order taken. */
static void begin_run(struct pruner *p)
{
	const struct order order = desk_take(&p->desk);
	p->ordered = desk_taken(&p->desk);
	const struct dp_clock *clock = &p->service->clock;
	int64_t now_us = clock->wall_us(clock->data);
	struct prune_run run = {.policies = &p->policies,
		.now_us = now_us,
		.streams_before_us = now_us - STREAM_SILENT_US,
		.streams_kept = STREAMS_KEPT,
		.max_bytes = p->config->max_db_bytes,
		.min_free_bytes = p->config->min_free_bytes,
		.boot_us = clock->boot_ns(clock->data) / 1000,
		.synchronised = clock->synchronised(clock->data) == 1,
		.dry_run = order.dry_run,
		.confirmed = order.confirm};
	memcpy(run.boot_id, clock->boot_id, sizeof(clock->boot_id));
	prune_begin(p->prune, &run);
	p->running = true;
	p->begun_ns = uv_hrtime();
	p->run_longest_us = p->run_steps = 0;
	wait_ms(p, 0);
}

/* Who stands by leaves the word to the other for a moment longer. */
static bool waited_long(const struct pruner *p)
{
	uint64_t since_ns = desk_owes_since(&p->desk);
	uint64_t most_ns = p->active ? ORDER_WAIT_NS : ORDER_WAIT_NS + STANDBY_WAIT_NS;
	return since_ns != 0 && uv_hrtime() >= since_ns + most_ns;
}

/* An order is tried for a while, then its sender hears why nothing came of it. */
static void try_again(struct pruner *p)
{
	char why[sizeof(p->why) + 64];
	if (waited_long(p)) {
		snprintf(why, sizeof(why), "cannot prune now, order it again later: %s",
			p->why);
		p->running = false; /* what was ordered does not go on unseen */
		desk_refuse(&p->desk, why);
	}
	wait_ms(p, RETRY_MS);
}

/*
 * Another pruner has the lease, and the order as well: who is at work answers. Should it be
 * gone, we get the lease within its time, and the order is still there.
 */
static void stand_by(struct pruner *p)
{
	if (p->running)
		desk_refuse(&p->desk, "another pruner has taken over; order it again");
	p->running = false;
	p->active = false;
	p->other_ns = uv_hrtime();
	if (waited_long(p))
		desk_leave(&p->desk);
	wait_ms(p, desk_owes_since(&p->desk) != 0 ? RETRY_MS : STANDBY_MS);
}

/* @return whether it ends the process */
static bool fatal(const struct pruner *p)
{
	bool again = p->result == 0 || p->result == -EBUSY || p->result == -EUCLEAN;
	/* A newer version is at work here; or there is nothing that could be opened. */
	return p->result == -EPROTO || (p->task == TASK_OPEN && !again);
}

static void work_done(uv_work_t *work, int status)
{
	struct pruner *p = work->data;
	(void)status;
	p->working = false;
	if (p->task == TASK_RELEASE) {
		desk_close(&p->desk);
		return;
	}
	note_result(p);
	if (fatal(p) && !p->stopping) {
		p->lease.held = false;
		dp_service_stop(p->service, EXIT_FAILURE);
		return;
	}
	if (p->stopping) {
		release_or_end(p);
		return;
	}
	/* Another pruner has answered meanwhile: it was not for us. */
	if (p->running && p->ordered && !desk_taken(&p->desk))
		p->running = false;
	if (p->result != 0) {
		try_again(p);
	} else if (p->task == TASK_OPEN ||
		   (p->task == TASK_STEP && p->lease.held && !p->running)) {
		wait_ms(p, 0); /* for a run */
	} else if (!p->lease.held) {
		stand_by(p);
	} else if (p->task == TASK_BEGIN) {
		p->active = true;
		begin_run(p);
	} else {
		note_step(p);
		if (p->done)
			end_run(p);
		wait_ms(p, next_wait_ms(p));
	}
}

static void on_order(void *data)
{
	struct pruner *p = data;
	if (p->stopping)
		desk_leave(&p->desk);
	/* A run that is under way is ended first. */
	if (!p->working && !p->running && !p->stopping)
		wait_ms(p, 0);
}

static void open_desk(struct pruner *p)
{
	const char *instance = p->config->service.instance;
	snprintf(p->client_id, sizeof(p->client_id), "dewpoint-pruner-%s", instance);
	snprintf(p->stats_topic, sizeof(p->stats_topic), "stats/%s/retention-pruner/%s",
		p->config->node_name, instance);
	const struct desk_options options = {
		.url = p->config->mqtt_url,
		.tls = &p->config->service.tls,
		.name = p->client_id,
		.on_order = on_order,
		.data = p,
	};
	desk_open(&p->desk, &p->service->loop, &options);
	const struct dp_stat table[STATS] = {{"runs", &p->runs}, {"steps", &p->steps},
		{"deleted", &p->deleted}, {"counted", &p->counted},
		{"longest_step_us", &p->longest_step_us}};
	memcpy(p->table, table, sizeof(table));
	dp_stats_start(&p->stats, &p->service->loop, p->desk.bus, p->stats_topic, p->table,
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
	/* Opening may wait for others: the work queue does it. Until then we are not well.
	 */
	p->last_error = -EAGAIN;
	snprintf(p->why, sizeof(p->why), "the database is not open yet");
	snprintf(p->holder, sizeof(p->holder), "pruner-%s", config->service.instance);
	p->lease = (struct dp_lease){
		.name = "prune", .holder = p->holder, .ttl_us = LEASE_TTL_US};
	open_desk(p);
	timer_init(&service->loop, &p->timer, p);
	wait_ms(p, 0);
	return p;
}

void pruner_stop(void *data)
{
	struct pruner *p = data;
	p->stopping = true;
	dp_stats_stop(&p->stats);
	uv_close((uv_handle_t *)&p->timer, NULL);
	/* Unless another pruner was seen to have the lease, and so the order. */
	if (p->active || p->other_ns < desk_owes_since(&p->desk))
		desk_refuse(&p->desk, "the pruner is stopped; order it again");
	desk_leave(&p->desk);
	/* Nothing is lost with a step; a lease given back saves the next one a minute. */
	dp_service_safe(p->service);
	if (p->prune != NULL)
		prune_hurry(p->prune);
	if (!p->working)
		release_or_end(p);
}

const char *pruner_health(void *data)
{
	struct pruner *p = data;
	if (p->last_error != 0)
		return p->why;
	/* It prunes without a broker, but nobody hears of it. */
	return desk_health(&p->desk);
}

void pruner_destroy(struct pruner *p)
{
	prune_close(p->prune);
	policies_finish(&p->policies);
	free(p);
}
