#include "ingest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "bus.h"
#include "claim.h"
#include "incoming.h"
#include "log.h"
#include "sink.h"
#include "stats.h"
#include "version.h"

/* Under load a transaction waits for more: for so many messages or so long. */
#define GATHER_AFTER 32 /* messages in the one before */
#define GATHER_MESSAGES 256
#define GATHER_MS 5
#define RETRY_FIRST_MS 500
#define RETRY_LIMIT_MS 10000
#define LEASE_TTL_US 15000000
#define LEASE_EVERY_MS 5000
#define LEASE_MARGIN_MS 2000 /* given up so long before another can take it */
#define SLOW_MS 5000	     /* a transaction that fails after it may have been too large */
#define PLAIN_CLIENT_ID "dewpoint-ingest-plain"
#define USUAL_PREFIX "/data"
#define PLAIN_SESSION_S (7 * 86400)
#define ONE_MORE(name) +1
#define STATS (COUNTS(ONE_MORE) + 2)

struct ingest {
	struct dp_service *service;
	const struct ingest_config *config;
	struct sink *sink;
	struct claim *claim;	       /* NULL until the store is known */
	bool ours;		       /* no other store is at the broker */
	struct dp_bus *native, *plain; /* plain: only while the lease is ours */
	struct queue queue;	       /* arriving */
	struct queue batch;	       /* being committed, or waiting to be tried again */
	struct condenser condenser;
	struct results results;
	struct sink_job job;
	bool working;
	int trouble;	   /* why the last commit failed, 0 */
	bool refused;	   /* for what it is: it was tried again as it was */
	size_t most_bytes; /* of a batch, as large as could be stored in time */
	int64_t turn_ms;   /* when the turn began */
	int64_t retry_ms, retry_at_ms;
	int64_t gather_until_ms;
	bool plain_waits; /* a plain message is in the queue */
	struct dp_lease lease;
	bool lease_due; /* set by the timer */
	int lease_trouble;
	bool release_due;
	int64_t count_at_ms;
	bool plain_gone; /* the plain connection ended while its messages were committed */
	uv_timer_t lease_timer, held_timer, retry_timer;
	uv_prepare_t prepare;
	struct dp_stats stats;
	struct dp_stat table[STATS];
	struct counts counts;
	uint64_t queued;
	char store[64]; /* which it is, as the broker was told */
	char native_filter[DP_TOPIC_MAX], plain_filter[DP_TOPIC_MAX], client_id[128],
		plain_id[DP_TOPIC_MAX], holder[96], stats_topic[192];
	bool stopping, stopped;
};

static int64_t now_ms(const struct ingest *in)
{
	return (int64_t)uv_now(&in->service->loop);
}

/* ---- messages in ---- */

static bool full(const struct ingest *in)
{
	return in->queue.bytes + in->batch.bytes >= (size_t)in->config->buffer_bytes;
}

/* A board without a clock boots in 1970: what it stores would be pruned at once. */
static int64_t not_before_build(int64_t wall_us)
{
	return wall_us > dp_build_epoch * 1000000 ? wall_us : dp_build_epoch * 1000000;
}

static void enqueue(struct ingest *in, const struct dp_bus_message *message, bool plain)
{
	const struct dp_clock *clock = &in->service->clock;
	/* A batch says what its times are worth. */
	enum dp_clock_mark mark =
		plain ? dp_clock_mark(clock, DP_CLOCK_TRUST_AUTO, dp_build_epoch)
		      : DP_CLOCK_NONE;
	struct incoming *copy = incoming_copy(message, plain, in->config->topic_prefix,
		not_before_build(clock->wall_us(clock->data)), mark, &in->condenser);
	if (copy == NULL)
		dp_log_out_of_memory("a message");
	queue_add(&in->queue, copy);
	in->plain_waits = in->plain_waits || plain;
	/* At once: the bus may have more at hand. */
	if (full(in))
		dp_bus_pause(plain ? in->plain : in->native, true);
}

static void on_native(void *data, const struct dp_bus_message *message)
{
	enqueue(data, message, false);
}

static void on_plain(void *data, const struct dp_bus_message *message)
{
	enqueue(data, message, true);
}

/* Back-pressure: what does not fit in memory stays in the broker and the outboxes. */
static void limit_reading(struct ingest *in)
{
	if (in->native != NULL)
		dp_bus_pause(in->native, full(in));
	if (in->plain != NULL)
		dp_bus_pause(in->plain, full(in));
}

/*
 * The plain connection is gone and the broker will send its messages again: what is
 * not committed is forgotten. A transaction under way decides for itself.
 */
static void forget_plain(struct ingest *in)
{
	queue_forget_plain(&in->queue);
	if (in->working)
		in->plain_gone = true;
	else
		queue_forget_plain(&in->batch);
}

/* ---- the store: one turn at a time ---- */

static void open_plain(struct ingest *in);

static void close_plain(struct ingest *in)
{
	dp_bus_close(in->plain, NULL);
	in->plain = NULL;
	forget_plain(in);
}

static void lose_plain(struct ingest *in)
{
	dp_log(DP_LOG_WARN, "another replica takes the plain messages now", NULL);
	close_plain(in);
}

/*
 * The broker hears that a group is safe once all of it is committed. A group that is
 * still arriving waits for its own transaction: nothing leaves between the two.
 */
static void acknowledge_plain(struct ingest *in)
{
	const struct incoming *message = in->queue.first;
	while (message != NULL && !message->plain)
		message = message->next;
	if (in->plain == NULL)
		return;
	if (!in->lease.held)
		lose_plain(in);
	else if (message == NULL)
		dp_bus_release(in->plain);
}

/* What the database had no time for, or refuses something of, is tried again in halves. */
static void split_batch(struct ingest *in)
{
	struct queue rest;
	queue_init(&rest);
	queue_cut(&in->batch, in->batch.n / 2, &rest);
	in->most_bytes = in->batch.bytes;
	queue_prepend(&in->queue, &rest);
	/* If one is: it does not become more by waiting. */
	in->plain_waits = true;
}

/*
 * The database refuses something of the batch for what it is. The same once more, as
 * replicas may have met; then in halves, so that the others are stored; then the message
 * that is left, as a dead letter.
 * @return false: not even that is taken. It stays behind the others and comes again.
 */
static bool single_out(struct ingest *in)
{
	if (!in->refused)
		in->refused = true;
	else if (in->batch.n > 1)
		split_batch(in);
	else if (in->batch.n == 1 && !incoming_refuse(in->batch.first, in->job.why)) {
		queue_add(&in->queue, in->batch.first);
		queue_init(&in->batch);
		in->plain_waits = true;
		return false;
	}
	return true;
}

static void grow_batches(struct ingest *in)
{
	size_t limit = (size_t)in->config->buffer_bytes / 2;
	in->most_bytes = in->most_bytes < limit / 2 ? in->most_bytes * 2 : limit;
}

/* A newer version stores here: a replica that cannot leaves the others its share. */
static void leave(struct ingest *in)
{
	in->lease.held = false;
	dp_service_stop(in->service, EXIT_FAILURE);
}

static void note_commit(struct ingest *in)
{
	int err = in->job.stored;
	if (err == -ENOMEM)
		dp_log_out_of_memory("a transaction");
	if (err != 0 && in->plain_gone)
		queue_forget_plain(&in->batch);
	if (err == -EDOM && single_out(in)) {
		in->retry_at_ms = 0;
		return;
	}
	if (err != in->trouble) {
		if (err != 0 && err != -ENOTCONN)
			dp_log(DP_LOG_ERROR,
				"cannot store; nothing is answered, senders keep their "
				"readings",
				"store=%s error=\"%s\"", in->sink->kind->name(in->sink),
				in->job.why);
		else if (err == 0 && in->trouble != -ENOTCONN)
			dp_log(DP_LOG_INFO, "storing again", "store=%s",
				in->sink->kind->name(in->sink));
	}
	in->trouble = err;
	if (err == -EPROTO)
		leave(in);
	if (err == 0) {
		in->refused = false;
		in->retry_ms = RETRY_FIRST_MS;
		grow_batches(in);
		answer_all(in->native, &in->results);
		acknowledge_plain(in);
		if (in->batch.n >= GATHER_AFTER)
			in->gather_until_ms = now_ms(in) + GATHER_MS;
		incoming_free(in->batch.first);
		queue_init(&in->batch);
		in->counts = *in->sink->kind->counts(in->sink);
		return;
	}
	if (in->batch.n > 1 && (err == -EBUSY || now_ms(in) - in->turn_ms >= SLOW_MS))
		split_batch(in);
	in->retry_at_ms = now_ms(in) + in->retry_ms;
	in->retry_ms =
		in->retry_ms * 2 > RETRY_LIMIT_MS ? RETRY_LIMIT_MS : in->retry_ms * 2;
}

/*
 * The lease runs out as it could not be renewed. Another replica may have it in a moment,
 * and the broker knows one session of this name: who stayed would throw the other out.
 */
static void on_held_too_long(uv_timer_t *timer)
{
	struct ingest *in = timer->data;
	if (in->plain != NULL) {
		dp_log(DP_LOG_WARN,
			"the lease for plain messages cannot be renewed; another replica "
			"may take them",
			"store=%s", in->sink->kind->name(in->sink));
		dp_bus_close(in->plain, NULL);
		in->plain = NULL;
		forget_plain(in);
	}
	/* A turn under way looks at it; it finds out for itself. */
	if (!in->working)
		in->lease.held = false;
}

/* Counted from before the database was asked. */
static void watch_lease(struct ingest *in)
{
	int64_t left_ms = in->turn_ms + LEASE_TTL_US / 1000 - LEASE_MARGIN_MS - now_ms(in);
	uv_timer_start(
		&in->held_timer, on_held_too_long, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static void note_lease(struct ingest *in)
{
	int err = in->job.renewed;
	if (!in->stopping && err == 0 && in->lease.held)
		watch_lease(in);
	else if (!in->stopping && !uv_is_active((uv_handle_t *)&in->held_timer))
		in->lease.held = false;
	if (err == -EPROTO)
		leave(in);
	else if (err != 0 && err != -EBUSY && err != -ENOTCONN && err != in->lease_trouble)
		dp_log(DP_LOG_WARN, "cannot renew the lease for plain messages",
			"error=\"%s\"", strerror(-err));
	in->lease_trouble = err;
	if (in->stopping)
		return;
	if (in->lease.held && in->ours && in->plain == NULL) {
		dp_log(DP_LOG_INFO, "taking plain messages", "lease=%lld",
			(long long)in->lease.number);
		open_plain(in);
	} else if (!in->lease.held && in->plain != NULL) {
		lose_plain(in);
	}
}

static void finish_stop(struct ingest *in);
static void follow_store(struct ingest *in);

static void turn_done(void *data)
{
	struct ingest *in = data;
	in->working = false;
	if (in->job.renew)
		note_lease(in);
	if (in->job.batch != NULL)
		note_commit(in);
	if (in->release_due) {
		in->release_due = false;
		finish_stop(in);
	} else {
		follow_store(in);
	}
}

static void start_turn(struct ingest *in)
{
	const struct dp_clock *clock = &in->service->clock;
	in->working = true;
	in->turn_ms = now_ms(in);
	in->job.now_us = not_before_build(clock->wall_us(clock->data));
	in->job.batch = in->batch.first != NULL ? &in->batch : NULL;
	in->job.release = in->release_due;
	in->job.renew = in->lease_due;
	in->lease_due = false;
	in->job.count_gaps = in->job.renew && now_ms(in) >= in->count_at_ms;
	if (in->job.count_gaps)
		in->count_at_ms = now_ms(in) + in->config->service.stats_period_s * 1000;
	in->plain_gone = false;
	in->sink->kind->run(in->sink, &in->job);
}

/* The store is back before it is due to be tried again. */
static void on_ready(void *data)
{
	struct ingest *in = data;
	in->retry_ms = RETRY_FIRST_MS;
	in->retry_at_ms = 0;
	in->lease_due = !in->stopping;
	follow_store(in);
}

static void on_outdated(void *data)
{
	leave(data);
}

/*
 * Many small transactions cost everybody more than a few large ones, the broker too,
 * which carries an answer of each to each publisher. While it is behind with taking them,
 * more of them would only wait here, in memory. Plain messages do not become more while
 * they wait.
 */
static bool gathers(struct ingest *in)
{
	if (in->plain_waits || in->stopping)
		return false;
	if (dp_bus_congested(in->native))
		return true;
	return in->queue.n < GATHER_MESSAGES && now_ms(in) < in->gather_until_ms &&
	       !full(in);
}

static void on_retry(uv_timer_t *timer)
{
	(void)timer; /* waking up is all; ingest_work() follows */
}

/* Once an iteration, before the loop waits again. */
static void ingest_work(uv_prepare_t *prepare)
{
	struct ingest *in = prepare->data;
	in->queued = in->queue.bytes + in->batch.bytes;
	if (in->stopped || in->working)
		return;
	if (in->batch.first == NULL && in->queue.first != NULL && !gathers(in)) {
		/* The next ones arrive while these are being committed. */
		queue_move(&in->queue, &in->batch, in->most_bytes);
		in->plain_waits = in->plain_waits && in->queue.first != NULL;
	}
	bool commit = in->batch.first != NULL && now_ms(in) >= in->retry_at_ms;
	bool idle = in->batch.first == NULL && in->queue.first == NULL;
	if (in->stopping && !commit && (idle || in->trouble != 0)) {
		if (in->plain != NULL)
			dp_bus_close(in->plain, NULL);
		in->plain = NULL;
		in->release_due = in->lease.held;
		if (!in->release_due) {
			finish_stop(in);
			return;
		}
	}
	if (!in->stopping)
		limit_reading(in);
	if (commit || in->lease_due || in->release_due) {
		start_turn(in);
		/* It may be over already: what follows must not wait for an event. */
		if (!in->working && !in->stopped)
			uv_timer_start(&in->retry_timer, on_retry, 0, 0);
	} else if (in->batch.first != NULL) {
		uv_timer_start(&in->retry_timer, on_retry,
			(uint64_t)(in->retry_at_ms - now_ms(in)), 0);
	} else if (in->queue.first != NULL && now_ms(in) < in->gather_until_ms &&
		   !uv_is_active((uv_handle_t *)&in->retry_timer)) {
		uv_timer_start(&in->retry_timer, on_retry,
			(uint64_t)(in->gather_until_ms - now_ms(in)), 0);
	}
}

/* ---- the buses ---- */

static void subscribe(struct dp_bus *bus, const char *filter)
{
	int err = dp_bus_subscribe(bus, filter);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot subscribe", "filter=\"%s\" error=\"%s\"",
			filter, strerror(-err));
}

static void on_native_connect(void *data)
{
	struct ingest *in = data;
	if (in->ours)
		subscribe(in->native, in->native_filter);
}

static void on_plain_connect(void *data)
{
	struct ingest *in = data;
	subscribe(in->plain, in->plain_filter);
}

static void on_native_disconnect(void *data)
{
	(void)data; /* what arrived is stored; what was not answered comes again */
}

static void on_plain_disconnect(void *data)
{
	forget_plain(data);
}

static void open_native(struct ingest *in)
{
	const struct dp_bus_options options = {
		.url = in->config->mqtt_url,
		.ca_file = in->config->service.tls_ca_file,
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

static void open_plain(struct ingest *in)
{
	const struct dp_bus_options options = {
		.url = in->config->mqtt_url,
		.ca_file = in->config->service.tls_ca_file,
		.client_id = in->plain_id,
		.clean_start = false,
		.hold_acks = true,
		/* Of what is retained nobody knows when it was said, or whether it was
		 * stored: common/README.md. */
		.live_only = true,
		.session_expiry_s = PLAIN_SESSION_S,
		.data = in,
		.on_connect = on_plain_connect,
		.on_disconnect = on_plain_disconnect,
		.on_message = on_plain,
	};
	if (dp_bus_open(&in->plain, &in->service->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
}

/* ---- one store at a broker ---- */

static void on_claim(void *data, bool ours)
{
	struct ingest *in = data;
	in->ours = ours;
	if (ours) {
		if (dp_bus_connected(in->native))
			subscribe(in->native, in->native_filter);
		in->lease_due = !in->stopping;
		return;
	}
	/* What has arrived is stored and answered. */
	dp_bus_unsubscribe(in->native, in->native_filter);
	if (in->plain != NULL)
		close_plain(in);
}

static void start_stats(struct ingest *in);

/* The store is known, or it is another one since a damaged one was set aside. */
static void follow_store(struct ingest *in)
{
	const char *store = in->sink->kind->id(in->sink);
	char client_id[sizeof(in->client_id) + 8];
	if (store[0] == '\0' || strcmp(store, in->store) == 0 || in->stopping)
		return;
	snprintf(in->store, sizeof(in->store), "%s", store);
	if (in->native == NULL) {
		/* Two stores on one host meet at the broker, not under one name. */
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
		.ca_file = in->config->service.tls_ca_file,
		.client_id = client_id,
		.instance = in->config->service.instance,
		.prefix = in->config->topic_prefix,
		.store = in->store,
		.name = in->sink->kind->name(in->sink),
		.data = in,
		.changed = on_claim,
	};
	if (claim_open(&in->claim, &in->service->loop, &options) != 0)
		dp_log_out_of_memory("the claim");
}

/* ---- start and stop ---- */

static void on_lease_due(uv_timer_t *timer)
{
	struct ingest *in = timer->data;
	in->lease_due = !in->stopping;
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

struct ingest *ingest_start(struct dp_service *service, const struct ingest_config *config)
{
	struct ingest *in = calloc(1, sizeof(*in));
	if (in == NULL)
		dp_log_out_of_memory("ingest");
	in->service = service;
	in->config = config;
	in->retry_ms = RETRY_FIRST_MS;
	in->most_bytes = (size_t)config->buffer_bytes / 2;
	in->condenser.most = (size_t)config->max_message_bytes;
	queue_init(&in->queue);
	queue_init(&in->batch);
	const struct sink_options options = {
		.url = config->store_url,
		.max_message_bytes = (size_t)config->max_message_bytes,
		.dead_letters_max = config->dead_letters_max,
		.print = config->print_readings,
	};
	const struct sink_events events = {
		.data = in, .done = turn_done, .ready = on_ready, .outdated = on_outdated};
	const struct dp_clock *clock = &service->clock;
	in->sink = config->sink->open(&service->loop, &options, &events,
		not_before_build(clock->wall_us(clock->data)));
	const char *instance = config->service.instance;
	snprintf(in->holder, sizeof(in->holder), "ingest-%s", instance);
	snprintf(in->native_filter, sizeof(in->native_filter), "$share/ingest/%s/+/batch",
		config->topic_prefix);
	snprintf(in->plain_filter, sizeof(in->plain_filter), "%s/+", config->topic_prefix);
	in->lease = (struct dp_lease){
		.name = "plain", .holder = in->holder, .ttl_us = LEASE_TTL_US};
	in->job.lease = &in->lease;
	in->job.results = &in->results;
	/* Sessions of the usual prefix have had this name for long. */
	bool usual = strcmp(config->topic_prefix, USUAL_PREFIX) == 0;
	snprintf(in->plain_id, sizeof(in->plain_id), PLAIN_CLIENT_ID "%s",
		usual ? "" : config->topic_prefix);
	uv_timer_init(&service->loop, &in->lease_timer);
	in->lease_timer.data = in;
	uv_timer_start(&in->lease_timer, on_lease_due, 0, LEASE_EVERY_MS);
	uv_timer_init(&service->loop, &in->held_timer);
	in->held_timer.data = in;
	uv_timer_init(&service->loop, &in->retry_timer);
	uv_prepare_init(&service->loop, &in->prepare);
	in->prepare.data = in;
	uv_prepare_start(&in->prepare, ingest_work);
	return in;
}

static void finish_stop(struct ingest *in)
{
	in->stopped = true;
	if (in->trouble != 0)
		dp_log(DP_LOG_WARN, "stopping with messages that could not be stored",
			"bytes=%zu", in->queue.bytes + in->batch.bytes);
	if (in->native != NULL)
		dp_bus_close(in->native, NULL);
	claim_close(in->claim);
	in->claim = NULL;
	in->sink->kind->close(in->sink);
	uv_close((uv_handle_t *)&in->prepare, NULL);
	uv_close((uv_handle_t *)&in->retry_timer, NULL);
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
	uv_close((uv_handle_t *)&in->lease_timer, NULL);
	uv_close((uv_handle_t *)&in->held_timer, NULL);
	/* A group that is being committed is still acknowledged; the rest comes again. */
	if (in->plain != NULL)
		dp_bus_pause(in->plain, true);
	forget_plain(in);
	in->sink->kind->hurry(in->sink);
	/* ingest_work() stores what has arrived and finishes. */
	uv_timer_start(&in->retry_timer, on_retry, 0, 0);
}

const char *ingest_health(void *data)
{
	struct ingest *in = data;
	if (in->sink->kind->health(in->sink) != NULL)
		return in->sink->kind->health(in->sink);
	if (in->trouble == -EDOM)
		return "the database refuses a message, and the dead letter of it as well; "
		       "the log says why";
	if (in->claim == NULL)
		return "the store is being opened";
	if (claim_trouble(in->claim) != NULL)
		return claim_trouble(in->claim);
	const char *trouble = dp_bus_health(in->native);
	return trouble == NULL && in->plain != NULL ? dp_bus_health(in->plain) : trouble;
}

void ingest_destroy(struct ingest *in)
{
	incoming_free(in->queue.first);
	incoming_free(in->batch.first);
	free(in->results.at);
	condenser_finish(&in->condenser);
	in->sink->kind->free(in->sink);
	free(in);
}
