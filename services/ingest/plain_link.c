#include "plain_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "timer.h"
#include "version.h"

#define LEASE_TTL_US 15000000
#define LEASE_EVERY_MS 5000
#define LEASE_MARGIN_MS 2000 /* we stop so long before another replica may begin */
#define CLIENT_ID "dewpoint-ingest-plain"
#define USUAL_PREFIX "/data"
#define SESSION_S (7 * 86400)

/* ---- the connection ---- */

static void on_connect(void *data)
{
	struct plain_link *link = data;
	dp_bus_subscribe(link->bus, link->filter);
}

static void on_disconnect(void *data)
{
	struct plain_link *link = data;
	link->options.gone(link->options.data);
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct plain_link *link = data;
	link->options.message(link->options.data, message);
}

/*
 * The broker counts by the wall clock, which is ours where both are on one board. A clock
 * that is set late jumps over the seven days, and the broker would drop what waits for an
 * ingest that is away just then.
 */
static uint32_t session_expiry(void *data)
{
	const struct plain_link *link = data;
	enum dp_clock_mark mark =
		dp_clock_mark(link->options.clock, DP_CLOCK_TRUST_AUTO, dp_build_epoch);
	return mark == DP_CLOCK_SYNCED ? SESSION_S : DP_SESSION_NEVER_ENDS;
}

static void connect_bus(struct plain_link *link)
{
	const struct dp_bus_options options = {
		.url = link->options.url,
		.tls = link->options.tls,
		.client_id = link->client_id,
		.clean_start = false,
		.hold_acks = true,
		/* Nobody knows how old a retained message is, or whether it was stored
		 * before: common/README.md. */
		.live_only = true,
		.session_expiry = session_expiry,
		.data = link,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
	};
	if (dp_bus_open(&link->bus, link->loop, &options) != 0)
		dp_log_out_of_memory("the bus");
}

static void disconnect(struct plain_link *link)
{
	if (link->bus == NULL)
		return;
	dp_bus_close(link->bus, NULL);
	link->bus = NULL;
	link->options.gone(link->options.data);
}

static void lose(struct plain_link *link)
{
	dp_log(DP_LOG_WARN, "another replica takes the plain messages now", NULL);
	disconnect(link);
}

void plain_link_committed(struct plain_link *link, bool all)
{
	if (link->bus == NULL)
		return;
	if (!link->lease.held)
		lose(link);
	else if (all)
		dp_bus_release(link->bus);
}

void plain_link_pause(struct plain_link *link, bool pause)
{
	if (link->bus != NULL)
		dp_bus_pause(link->bus, pause);
}

const char *plain_link_health(const struct plain_link *link)
{
	return link->bus != NULL ? dp_bus_health(link->bus) : NULL;
}

/* ---- the lease ---- */

static void on_renew(uv_timer_t *timer)
{
	struct plain_link *link = timer->data;
	link->renew_due = true;
	timer_start(timer, on_renew, LEASE_EVERY_MS);
}

/*
 * The lease could not be renewed and is about to run out. Another replica may get it and
 * connect under the same name, and the broker ends the older of two such connections.
 */
static void on_lease_end(uv_timer_t *timer)
{
	struct plain_link *link = timer->data;
	if (link->bus != NULL) {
		dp_log(DP_LOG_WARN,
			"the lease for plain messages cannot be renewed; another replica "
			"may take them",
			"store=%s", link->options.store);
		disconnect(link);
	}
	/* A job that has the lease compares its number in the transaction. */
	if (!link->in_job)
		link->lease.held = false;
}

/* From the time before the database was asked, so that we never hold it for too long. */
static void watch_lease(struct plain_link *link)
{
	int64_t left_ms = link->asked_ms + LEASE_TTL_US / 1000 - LEASE_MARGIN_MS -
			  (int64_t)uv_now(link->loop);
	timer_start(&link->end_timer, on_lease_end, left_ms > 0 ? (uint64_t)left_ms : 0);
}

void plain_link_begin_job(struct plain_link *link, struct sink_job *job)
{
	job->lease = &link->lease;
	job->renew = link->renew_due;
	link->renew_due = false;
	link->in_job = true;
	link->asked_ms = (int64_t)uv_now(link->loop);
}

static void note_renewed(struct plain_link *link, int err)
{
	if (!link->stopping && err == 0 && link->lease.held)
		watch_lease(link);
	else if (!link->stopping && !uv_is_active((uv_handle_t *)&link->end_timer))
		link->lease.held = false;
	if (err == -EAGAIN)
		plain_link_hasten(link);
	else if (err != 0 && err != -EPROTO && err != -EBUSY && err != -ENOTCONN &&
		 err != link->last_error)
		dp_log(DP_LOG_WARN, "cannot renew the lease for plain messages",
			"error=\"%s\"", strerror(-err));
	link->last_error = err;
	if (link->stopping)
		return;
	if (link->lease.held && link->allowed && link->bus == NULL) {
		dp_log(DP_LOG_INFO, "taking plain messages", "lease=%lld",
			(long long)link->lease.number);
		connect_bus(link);
	} else if (!link->lease.held && link->bus != NULL) {
		lose(link);
	}
}

void plain_link_end_job(struct plain_link *link, const struct sink_job *job)
{
	link->in_job = false;
	if (job->renew)
		note_renewed(link, job->renewed);
}

void plain_link_hasten(struct plain_link *link)
{
	link->renew_due = !link->stopping;
}

void plain_link_allow(struct plain_link *link, bool allowed)
{
	link->allowed = allowed;
	if (allowed)
		plain_link_hasten(link);
	else
		disconnect(link);
}

void plain_link_renounce(struct plain_link *link)
{
	link->lease.held = false;
}

/* ---- life ---- */

void plain_link_start(
	struct plain_link *link, uv_loop_t *loop, const struct plain_link_options *options)
{
	*link = (struct plain_link){.options = *options, .loop = loop};
	snprintf(link->filter, sizeof(link->filter), "%s/+", options->prefix);
	/* Brokers out there keep sessions of the usual prefix under this name. */
	bool usual = strcmp(options->prefix, USUAL_PREFIX) == 0;
	snprintf(link->client_id, sizeof(link->client_id), CLIENT_ID "%s",
		usual ? "" : options->prefix);
	snprintf(link->holder, sizeof(link->holder), "ingest-%s", options->instance);
	link->lease = (struct dp_lease){
		.name = "plain", .holder = link->holder, .ttl_us = LEASE_TTL_US};
	timer_init(loop, &link->renew_timer, link);
	timer_init(loop, &link->end_timer, link);
	timer_start(&link->renew_timer, on_renew, 0);
}

void plain_link_stop(struct plain_link *link)
{
	link->stopping = true;
	uv_close((uv_handle_t *)&link->renew_timer, NULL);
	uv_close((uv_handle_t *)&link->end_timer, NULL);
	plain_link_pause(link, true);
}

bool plain_link_end(struct plain_link *link)
{
	disconnect(link);
	return link->lease.held;
}
