/*
 * The publisher's one context, and which file does what with it:
 *
 *   publisher.c  start, stop, health, the local broker
 *   intake.c     readings in, acceptance out
 *   uplink/      the central broker: batches out, answers in
 *   outbox/      the outbox: queue.h is what the others see of it
 *   last.c       state/<node>/<name> and status/<node>/<name>: what is last known of each
 *                sensor and output
 *   claims.c     which sampler has which of them, and what is true when none has
 *   recall.c     the same topics, read back from the centre after each connect
 *   commands/    commands to outputs and their answers
 *
 * Callbacks only note what is to be done; relay_work() does it once an iteration,
 * before the loop waits again.
 */
#ifndef PUBLISHER_RELAY_H
#define PUBLISHER_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "commands/commands.h"
#include "intake.h"
#include "outbox/queue.h"
#include "publisher.h"
#include "reading.h"
#include "stats.h"
#include "streams/streams.h"
#include "uplink/uplink.h"

#define RELAY_SENSORS 256
#define RELAY_SAMPLERS 32
#define RELAY_STATS 20
#define LOCAL_PRESENCE "local/publisher"

/* Which reading is shown as the last one. */
struct shown {
	struct dp_stream_id stream;
	uint64_t seq;  /* 0: not known */
	int64_t ts_us; /* 0: it has no time */
};

/* What is last known of a sensor or an output. */
struct last {
	char name[DP_NAME_MAX + 1];
	char json[512]; /* the last reading or level, flat; empty: not known */
	struct shown shown;
	char sampler[DP_NAME_MAX + 1]; /* whose it is, once it has said so */
	bool claimed;		       /* that sampler is here and says so */
	char rival[DP_NAME_MAX + 1];   /* another that says so too; empty: none */
	bool rival_online;
	bool at_centre; /* the centre retains something of it from before */
	bool clear_due; /* nobody has it any more: the centre is to forget it */
	bool is_output, told, online; /* told: `online` is known */
	bool json_due, status_due;
};

struct relay {
	struct dp_service *service;
	const struct publisher_config *config;
	struct dp_bus *local;
	struct uplink uplink;
	struct streams streams;
	struct queue queue; /* the outbox */
	struct intake intake;

	struct commands commands;

	struct last last[RELAY_SENSORS];
	size_t n_last;
	bool last_due;
	int64_t last_ms;
	char samplers[RELAY_SAMPLERS][DP_NAME_MAX + 1]; /* that are here */
	size_t n_samplers;
	int64_t settle_ms; /* what nobody has claimed then is offline; INT64_MAX: settled */
	bool recalling, recalled; /* under way; it was read back once */
	int64_t recall_until_ms;

	uv_prepare_t prepare;
	uv_timer_t timer; /* the next thing that is due */
	struct dp_stats stats;
	struct dp_stat table[RELAY_STATS];
	char client_local[96], stats_topic[192];
	bool stopping;
	bool stopped;

	/* statistics */
	uint64_t outbox_count, live_count, flying, oldest_s, commands_taken,
		commands_refused;
};

/* publisher.c */
int64_t relay_now(const struct relay *r);

/* last.c */
/* Of the name behind a topic's last slash; NULL when it is none, or there are too many. */
struct last *last_of_topic(struct relay *r, const char *topic);
bool last_is_online(const struct dp_bus_message *message);
/* Whether a is to be shown rather than b. */
bool last_is_newer(const struct relay *r, const struct shown *a, const struct shown *b);
void last_note(struct relay *r, const struct dp_identity *identity,
	const struct dp_reading *reading);
void last_note_online(struct relay *r, struct last *last, bool online);
/* local/state/<output>, local/status/<name> and local/sampler/<instance>. */
void last_note_output(struct relay *r, const struct dp_bus_message *message);
void last_note_status(struct relay *r, const struct dp_bus_message *message);
void last_note_sampler(struct relay *r, const struct dp_bus_message *message);
bool last_has_outputs(const struct relay *r);
void last_send(struct relay *r);
void last_send_all(struct relay *r); /* after a connect */
/* Before the end: without us nobody says what is online. */
void last_stop(struct relay *r);
int64_t last_deadline(const struct relay *r);

/* claims.c */
/* A sampler says something of its sensor or output. */
void claims_note(struct relay *r, struct last *last, const struct dp_bus_message *message);
void claims_note_sampler(struct relay *r, const char *instance, bool online);
/* The node's broker is gone, or there is a new connection: samplers say again what is
 * theirs. */
void claims_forget(struct relay *r);
void claims_expect(struct relay *r);
void claims_settle(struct relay *r);

/* recall.c */
/* After each connect to the centre, once our own status is published. */
void recall_start(struct relay *r);
/* @return whether the message from the centre was of that kind */
bool recall_take(struct relay *r, const struct dp_bus_message *message);
void recall_expire(struct relay *r);

#endif
