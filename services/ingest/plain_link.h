/*
 * The connection that takes other people's messages. The broker knows one session of its
 * name, so one replica at a time has it: the one that holds a lease in the store. The
 * broker keeps what is not acknowledged. All of it lives on the loop.
 */
#ifndef INGEST_PLAIN_LINK_H
#define INGEST_PLAIN_LINK_H

#include "bus.h"
#include "clock.h"
#include "sink.h"
#include "topic.h"

/** Its strings outlive the link. */
struct plain_link_options {
	const char *url;
	const struct dp_tls_files *tls; /**< both as of a bus */
	const char *prefix, *instance;
	const char *store; /**< its name, for the log */
	const struct dp_clock *clock;
	void *data;
	void (*message)(void *data, const struct dp_bus_message *message);
	/** What was not acknowledged comes again: it may be forgotten. */
	void (*gone)(void *data);
};

struct plain_link {
	struct plain_link_options options;
	uv_loop_t *loop;
	struct dp_bus *bus; /**< only while the lease is ours */
	struct dp_lease lease;
	bool allowed;	/**< our store is the one at this broker */
	bool renew_due; /**< with the next job */
	bool in_job;	/**< which has the lease */
	bool stopping;
	int last_error;	  /**< of renewing the lease */
	int64_t asked_ms; /**< when the job began that renews it */
	uv_timer_t renew_timer, end_timer;
	char filter[DP_TOPIC_MAX], client_id[DP_TOPIC_MAX], holder[96];
};

/** Begin: the lease is due at once. */
void plain_link_start(
	struct plain_link *link, uv_loop_t *loop, const struct plain_link_options *options);

/** Whether our store is the one at this broker, without which there is no connection. */
void plain_link_allow(struct plain_link *link, bool allowed);

/** The store is back: renew the lease now. */
void plain_link_hasten(struct plain_link *link);

/** Let a job that begins renew the lease if it is due; it has the lease until it ends. */
void plain_link_begin_job(struct plain_link *link, struct sink_job *job);

/** The job is over: connect or disconnect, as it left the lease. */
void plain_link_end_job(struct plain_link *link, const struct sink_job *job);

/**
 * A transaction is committed.
 * @param all  nothing that this connection has sent waits for another one
 */
void plain_link_committed(struct plain_link *link, bool all);

/** As dp_bus_pause(). */
void plain_link_pause(struct plain_link *link, bool pause);

/** Leave the lease to the other replicas: a newer version stores here. */
void plain_link_renounce(struct plain_link *link);

/** Take nothing more; what is being committed is still acknowledged. */
void plain_link_stop(struct plain_link *link);

/** Disconnect, stopped. @return whether the lease is ours, to be released by a job */
bool plain_link_end(struct plain_link *link);

/** As dp_bus_health(). */
const char *plain_link_health(const struct plain_link *link);

#endif
