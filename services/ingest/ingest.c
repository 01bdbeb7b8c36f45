#include "ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "batches.h"
#include "bus.h"
#include "claim.h"
#include "log.h"
#include "plain_link.h"
#include "sink.h"
#include "stats.h"
#include "timer.h"
#include "version.h"

#define REFUSED_MS 60000
#define ONE_MORE(name) +1
#define STATS (COUNTS(ONE_MORE) + 2)

struct ingest {
	struct dp_service *service;
	const struct ingest_config *config;
	const struct sink_kind *kind;
	struct sink *sink;
	struct claim *claim;   /* NULL until the store is known */
	bool ours;	       /* no other store is at the broker */
	struct dp_bus *native; /* NULL until the store is known */
	struct plain_link plain;
	struct batches batches;
	struct condenser condenser;
	struct results results;
	struct sink_job job;
	bool working; /* the job is under way */
	bool release_due;
	int64_t count_at_ms;
	int64_t say_given_up_ms;
	unsigned given_up;	  /* messages, since the last line about them */
	int64_t refused_until_ms; /* unhealthy: a dead letter was refused */
	uv_timer_t wake_timer;
	uv_prepare_t prepare;
	struct dp_stats stats;
	struct dp_stat table[STATS];
	struct counts counts;
	uint64_t queued;
	char store_id[64]; /* which it is, as the broker was told */
	char native_filter[DP_TOPIC_MAX], client_id[128], stats_topic[192];
	bool stopping, stopped;
};

static int64_t now_ms(const struct ingest *in)
{
	return (int64_t)uv_now(&in->service->loop);
}

/* Not before the build: a board without a clock boots in 1970, and what is stored with
 * such a time would be pruned at once. */
static int64_t wall_us(const struct ingest *in)
{
	const struct dp_clock *clock = &in->service->clock;
	int64_t wall_us = clock->wall_us(clock->data), build_us = dp_build_epoch * 1000000;
	return wall_us > build_us ? wall_us : build_us;
}

/* ---- messages in ---- */

/* Back-pressure: what does not fit in memory stays in the broker and the outboxes. */
static void limit_reading(struct ingest *in)
{
	if (in->native != NULL)
		dp_bus_pause(in->native, batches_full(&in->batches));
	plain_link_pause(&in->plain, batches_hold_plain(&in->batches));
}

static void enqueue(struct ingest *in, const struct dp_bus_message *message, bool plain)
{
	/* A batch carries a mark of its own for its times. */
	enum dp_clock_mark mark = plain ? dp_clock_mark(&in->service->clock,
						  DP_CLOCK_TRUST_AUTO, dp_build_epoch)
					: DP_CLOCK_NONE;
	struct incoming *copy = incoming_copy(message, plain, in->config->topic_prefix,
		wall_us(in), mark, &in->condenser);
	if (copy == NULL)
		dp_log_out_of_memory("a message");
	batches_add(&in->batches, copy, now_ms(in));
	/* Now, not in ingest_work(): the bus may deliver more before that. */
	if (batches_full(&in->batches))
		limit_reading(in);
}

static void on_native(void *data, const struct dp_bus_message *message)
{
	enqueue(data, message, false);
}

static void on_plain(void *data, const struct dp_bus_message *message)
{
	enqueue(data, message, true);
}

static void on_plain_gone(void *data)
{
	struct ingest *in = data;
	batches_forget_plain(&in->batches);
}

/* ---- the store: one job at a time ---- */

/* A newer version stores here, so this program cannot. Exit: then the broker gives this
 * replica's share to the others. */
static void leave(struct ingest *in)
{
	plain_link_renounce(&in->plain);
	dp_service_stop(in->service, EXIT_FAILURE);
}

static void log_change(const struct ingest *in, int before, int err)
{
	if (err == before)
		return;
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_ERROR,
			"cannot store; nothing is answered, senders keep their readings",
			"store=%s error=\"%s\"", in->sink->name, in->job.why);
	else if (err == 0 && before != -ENOTCONN)
		dp_log(DP_LOG_INFO, "storing again", "store=%s", in->sink->name);
}

/* Nothing more can be done for it: who has sent a native one still has it. */
static void give_up(struct ingest *in, struct incoming *message)
{
	in->given_up++;
	/* Not one line each: a device may send thousands. None goes uncounted. */
	if (now_ms(in) >= in->say_given_up_ms) {
		dp_log(DP_LOG_ERROR,
			"the database refuses a message and the dead letter of it as well; "
			"others are stored; see which rule of the database it is",
			"store=%s topic=\"%s\" messages=%u error=\"%s\"", in->sink->name,
			message->topic, in->given_up, in->job.why);
		in->say_given_up_ms = now_ms(in) + REFUSED_MS;
		in->given_up = 0;
	}
	in->refused_until_ms = now_ms(in) + REFUSED_MS;
	incoming_free(message);
	plain_link_committed(&in->plain, !batches_expect_plain(&in->batches));
}

static void note_commit(struct ingest *in)
{
	int err = in->job.stored, before = in->batches.last_error;
	if (err == -ENOMEM)
		dp_log_out_of_memory("a transaction");
	if (err == 0) {
		answer_all(in->native, &in->results);
		in->counts = *in->sink->counts;
	}
	if (batches_end(&in->batches, now_ms(in), err, in->job.why))
		log_change(in, before, err);
	struct incoming *hopeless = batches_hopeless(&in->batches);
	if (hopeless != NULL)
		give_up(in, hopeless);
	if (err == -EPROTO)
		leave(in);
	/* The broker hears that a group of plain messages is safe once all of it is
	 * committed: one that is still arriving waits for its own transaction. */
	if (err == 0)
		plain_link_committed(&in->plain, !batches_expect_plain(&in->batches));
}

static void finish_stop(struct ingest *in);
static void follow_store(struct ingest *in);

static void on_job_done(void *data)
{
	struct ingest *in = data;
	in->working = false;
	if (in->job.renew && in->job.renewed == -EPROTO)
		leave(in);
	plain_link_end_job(&in->plain, &in->job);
	if (in->job.batch != NULL)
		note_commit(in);
	if (in->release_due) {
		in->release_due = false;
		finish_stop(in);
	} else {
		follow_store(in);
	}
}

static void start_job(struct ingest *in)
{
	struct sink_job *job = &in->job;
	in->working = true;
	plain_link_begin_job(&in->plain, job);
	job->batch = batches_begin(&in->batches, now_ms(in));
	job->now_us = wall_us(in);
	job->release = in->release_due;
	job->count_gaps = job->renew && now_ms(in) >= in->count_at_ms;
	if (job->count_gaps)
		in->count_at_ms = now_ms(in) + in->config->service.stats_period_s * 1000;
	in->kind->run(in->sink, job);
}

/* The store is back before it is due to be tried again. */
static void on_ready(void *data)
{
	struct ingest *in = data;
	batches_retry_now(&in->batches);
	plain_link_hasten(&in->plain);
	follow_store(in);
}

static void on_outdated(void *data)
{
	leave(data);
}

static void on_wake(uv_timer_t *timer)
{
	(void)timer; /* it ends the wait of the loop; ingest_work() runs next */
}

/* Once an iteration, before the loop waits again. */
static void ingest_work(uv_prepare_t *prepare)
{
	struct ingest *in = prepare->data;
	struct batches *batches = &in->batches;
	int64_t now = now_ms(in), wait_ms;
	in->queued = batches_bytes(batches);
	if (in->stopped || in->working)
		return;
	/* The next ones arrive while these are being committed. */
	batches_fill(batches, now, in->native != NULL && dp_bus_congested(in->native),
		in->stopping);
	bool commit = batches_due(batches, now);
	bool idle = batches->batch.first == NULL && batches->queue.first == NULL;
	if (in->stopping && !commit && (idle || batches->last_error != 0)) {
		in->release_due = plain_link_end(&in->plain);
		if (!in->release_due) {
			finish_stop(in);
			return;
		}
	}
	if (!in->stopping)
		limit_reading(in);
	wait_ms = batches_wait_ms(batches, now);
	if (commit || in->plain.renew_due || in->release_due) {
		start_job(in);
		/* The job may be over already. Then no event will wake the loop. */
		if (!in->working && !in->stopped)
			timer_start(&in->wake_timer, on_wake, 0);
	} else if (wait_ms >= 0) {
		timer_start(&in->wake_timer, on_wake, (uint64_t)wait_ms);
	}
}

/* ---- our own publishers' bus ---- */

static void on_native_connect(void *data)
{
	struct ingest *in = data;
	if (in->ours)
		dp_bus_subscribe(in->native, in->native_filter);
}

static void on_native_disconnect(void *data)
{
	(void)data; /* what arrived is stored; what was not answered comes again */
}

static void open_native(struct ingest *in)
{
	const struct dp_bus_options options = {
		.url = in->config->mqtt_url,
		.tls = &in->config->service.tls,
		.client_id = in->client_id,
		.clean_start = true,
		.data = in,
		.on_connect = on_native_connect,
		.on_disconnect = on_native_disconnect,
		.on_message = on_native,
	};
	if (dp_bus_open(&in->native, &in->service->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
}

/* ---- one store at a broker ---- */

static void on_claim(void *data, bool ours)
{
	struct ingest *in = data;
	in->ours = ours;
	if (ours && dp_bus_connected(in->native))
		dp_bus_subscribe(in->native, in->native_filter);
	/* What has arrived, or still arrives if this fails, is stored and answered. */
	if (!ours)
		dp_bus_unsubscribe(in->native, in->native_filter);
	plain_link_allow(&in->plain, ours);
}

static void start_stats(struct ingest *in)
{
	const struct counts *c = &in->counts;
#define STAT(name) {#name, &c->name},
	const struct dp_stat table[] = {
		COUNTS(STAT){"queued_bytes", &in->queued}, {"gaps", &in->job.gaps}};
#undef STAT
	_Static_assert(sizeof(table) == sizeof(in->table), "STATS says how many there are");
	memcpy(in->table, table, sizeof(table));
	snprintf(in->stats_topic, sizeof(in->stats_topic), "stats/%s/ingest/%s",
		in->config->node_name, in->config->service.instance);
	dp_stats_start(&in->stats, &in->service->loop, in->native, in->stats_topic,
		in->table, STATS, in->config->service.stats_period_s);
}

/* Which store it is: known now, or another one since a damaged file was set aside. */
static void follow_store(struct ingest *in)
{
	const char *store = in->sink->id;
	char client_id[sizeof(in->client_id) + 8];
	if (store[0] == '\0' || strcmp(store, in->store_id) == 0 || in->stopping)
		return;
	snprintf(in->store_id, sizeof(in->store_id), "%s", store);
	if (in->native == NULL) {
		/* With the store in its name: two stores on one host must not throw each
		 * other out at the broker. */
		snprintf(in->client_id, sizeof(in->client_id), "dewpoint-ingest-%s-%.8s",
			in->config->service.instance, store);
		open_native(in);
		start_stats(in);
	}
	claim_close(in->claim);
	if (in->ours)
		on_claim(in, false);
	snprintf(client_id, sizeof(client_id), "%s-claim", in->client_id);
	const struct claim_options options = {
		.url = in->config->mqtt_url,
		.tls = &in->config->service.tls,
		.client_id = client_id,
		.instance = in->config->service.instance,
		.prefix = in->config->topic_prefix,
		.store = in->store_id,
		.name = in->sink->name,
		.data = in,
		.changed = on_claim,
	};
	if (claim_open(&in->claim, &in->service->loop, &options) != 0)
		dp_log_out_of_memory("the claim");
}

/* ---- start and stop ---- */

struct ingest *ingest_start(struct dp_service *service, const struct ingest_config *config)
{
	struct ingest *in = calloc(1, sizeof(*in));
	if (in == NULL)
		dp_log_out_of_memory("ingest");
	in->service = service;
	in->config = config;
	in->kind = config->sink;
	in->condenser.most = (size_t)config->max_message_bytes;
	in->job.results = &in->results;
	batches_init(&in->batches, (size_t)config->buffer_bytes, config->plain_wait_ms);
	snprintf(in->native_filter, sizeof(in->native_filter), "$share/ingest/%s/+/batch",
		config->topic_prefix);
	const struct sink_options options = {
		.url = config->store_url,
		.max_message_bytes = (size_t)config->max_message_bytes,
		.dead_letters_max = config->dead_letters_max,
		.print = config->print_readings,
	};
	const struct sink_events events = {.data = in,
		.done = on_job_done,
		.ready = on_ready,
		.outdated = on_outdated};
	in->sink = in->kind->open(&service->loop, &options, &events, wall_us(in));
	const struct plain_link_options plain = {
		.url = config->mqtt_url,
		.tls = &config->service.tls,
		.prefix = config->topic_prefix,
		.instance = config->service.instance,
		.store = in->sink->name,
		.clock = &service->clock,
		.data = in,
		.message = on_plain,
		.gone = on_plain_gone,
	};
	plain_link_start(&in->plain, &service->loop, &plain);
	timer_init(&service->loop, &in->wake_timer, in);
	prepare_start(&service->loop, &in->prepare, ingest_work, in);
	return in;
}

static void finish_stop(struct ingest *in)
{
	in->stopped = true;
	if (in->given_up > 0)
		dp_log(DP_LOG_ERROR,
			"the database refused further messages and the dead letters of "
			"them",
			"store=%s messages=%u", in->sink->name, in->given_up);
	if (in->batches.last_error != 0)
		dp_log(DP_LOG_WARN, "stopping with messages that could not be stored",
			"bytes=%zu", batches_bytes(&in->batches));
	if (in->native != NULL)
		dp_bus_close(in->native, NULL);
	claim_close(in->claim);
	in->claim = NULL;
	in->kind->close(in->sink);
	uv_close((uv_handle_t *)&in->prepare, NULL);
	uv_close((uv_handle_t *)&in->wake_timer, NULL);
	dp_service_safe(in->service);
}

void ingest_stop(void *data)
{
	struct ingest *in = data;
	in->stopping = true;
	if (in->native != NULL) {
		dp_bus_pause(in->native, true);
		dp_stats_stop(&in->stats);
	}
	/* What has arrived is stored, plain messages too: an acknowledgement is for all of
	 * them. */
	plain_link_stop(&in->plain);
	in->kind->hurry(in->sink);
	/* ingest_work() stores what has arrived and finishes. */
	timer_start(&in->wake_timer, on_wake, 0);
}

const char *ingest_health(void *data)
{
	const struct ingest *in = data;
	const char *why = in->kind->health(in->sink);
	if (why != NULL)
		return why;
	if (now_ms(in) < in->refused_until_ms)
		return "the database refuses a message, and the dead letter of it as well; "
		       "the log says why";
	if (in->claim == NULL)
		return "the store is being opened";
	why = claim_health(in->claim);
	if (why == NULL)
		why = dp_bus_health(in->native);
	return why == NULL ? plain_link_health(&in->plain) : why;
}

void ingest_destroy(struct ingest *in)
{
	batches_finish(&in->batches);
	free(in->results.at);
	condenser_finish(&in->condenser);
	in->kind->free(in->sink);
	free(in);
}
