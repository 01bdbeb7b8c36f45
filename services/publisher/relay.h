/*
 * The publisher's one context, and which file does what with it:
 *
 *   publisher.c  start, stop, health, the local broker
 *   intake.c     readings in, acceptance out
 *   uplink.c     the central broker: batches out, answers in
 *   refusal.c    batches that the central broker refuses
 *   opening.c    the outbox: opening it, and setting it aside when it is damaged
 *   spill.c      the outbox: what is to be done with it
 *   turn.c       the outbox: doing it on the work queue
 *   last.c       state/<node>/<name> and status/<node>/<name>: what is last known of each
 *                sensor and output
 *   claims.c     which sampler has which of them, and what is true when none has
 *   recall.c     the same topics, read back from the centre after each connect
 *   commands.c   commands to outputs and their answers
 *   listeners.c  which sampler listens for commands to which output
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
#include "dating.h"
#include "outbox/outbox.h"
#include "publisher.h"
#include "reading.h"
#include "stats.h"
#include "stream.h"
#include "uplink/delivery.h"

#define RELAY_WINDOW 64
#define RELAY_RESERVE 8	     /* of it for live readings */
#define RELAY_LIVE_MAX 20000 /* readings in memory; beyond, the samplers keep them */
#define RELAY_LIVE_BYTES (4u << 20)
#define RELAY_BATCH_BYTES (128u << 10)
#define RELAY_SENSORS 256
#define RELAY_SAMPLERS 32
#define RELAY_STATS 20
#define RELAY_COMMANDS 32 /* that wait for their sampler */
#define RELAY_SENT 64	  /* that wait for its answer */
#define LOCAL_PRESENCE "local/publisher"
#define RELAY_BOOTS 1024 /* with readings that have no time */

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

struct listener {
	char output[DP_NAME_MAX + 1];
	char sampler[DP_NAME_MAX + 1];
};

/* One turn of the outbox on the work queue: note, remove, append, load. */
struct turn {
	uv_work_t work;
	bool running;
	struct {
		struct boot *boot;
		struct outbox_boot known;
	} *dates;
	size_t n_dates;
	int64_t floor_us; /* 0: as it was */
	struct {
		struct stream *stream;
		int64_t row;
		uint64_t low;
		bool closed;
	} *closes;
	size_t n_closes;
	struct {
		struct stream *stream;
		struct dp_interval range;
	} *removes;
	size_t n_removes;
	struct append {
		struct stream *stream;
		struct held held;
		uint64_t low;
		const struct boot *boot; /* of a reading without a time */
		int64_t row, boot_row;	 /* once it is written */
	} *appends;
	size_t n_appends;
	struct {
		struct stream *stream;
		int64_t row; /* valid once the transaction is committed */
	} *news;	     /* seen for the first time: their node is written down */
	size_t n_news;
	bool probe; /* writes nothing new, to see whether it can */
	bool load;
	struct stream *load_stream;
	int64_t load_row;
	uint64_t load_seq;
	bool shrink;
	int note_result, remove_result, append_result, load_result, news_result,
		shrink_result, usage_result, probe_result;
	struct outbox_usage usage;
};

struct relay {
	struct dp_service *service;
	const struct publisher_config *config;
	struct dp_bus *local, *upstream;
	struct delivery delivery;
	struct flight flights[RELAY_WINDOW];
	bool silent; /* messages time out unanswered */
	int64_t silent_until_ms;
	struct stream *streams; /* in order of arrival */
	struct dating dating;
	enum dp_clock_trust trust;
	int64_t clock_wait_ms;
	int64_t waiting_since_ms; /* readings wait for their time; 0 none does */
	int64_t clock_due_ms;	  /* when to look at the clock again */
	int64_t floor_us;	  /* as the outbox knows it */
	size_t live, live_bytes;
	char *batch;	    /* RELAY_BATCH_BYTES and a little, for the batch being cut */
	size_t batch_limit; /* bytes; shrinks when the centre takes smaller messages only */
	size_t largest;	    /* batch sent since it last shrank, bytes */
	uint32_t most;	    /* readings in one of them */
	/* The centre's broker refuses batches: an MQTT 5 reason, 0 none; see refusal.c. */
	int refusal;
	int64_t refused_until_ms, refused_wait_ms;
	char refusal_text[96];

	int lock; /* of the outbox */
	char instance[OUTBOX_INSTANCE + 1];
	int64_t lock_retry_ms; /* when to try again to lock or open it */
	uv_work_t open_work;
	bool opening,
		set_aside; /* set_aside: the damaged file is, a new one is not begun */
	int open_result, open_error;
	struct outbox_usage open_usage; /* written on the work queue */
	bool open_failed;		/* since it was last open */
	int64_t open_wait_ms;
	struct outbox *outbox; /* NULL: not open, or damaged and not replaced yet */
	struct turn turn;
	struct outbox_page page;
	struct stream *page_stream;
	size_t page_at;	 /* the next of it to send */
	bool page_stale; /* the turn under way loads what is no longer wanted */
	int spill_error; /* why the last append failed, 0 */
	int64_t spill_retry_ms, load_retry_ms;
	bool remove_failed, note_failed, load_failed;
	int64_t note_retry_ms, shrink_retry_ms;
	struct outbox_usage usage; /* after the last turn */
	bool outbox_full;
	int64_t removed_ms; /* when answered readings were last removed */
	bool flush;	    /* stopping: everything in memory goes to the outbox now */

	struct held_command *commands[RELAY_COMMANDS];
	size_t n_commands;
	struct held_command *sent[RELAY_SENT];
	size_t n_sent;
	uint64_t next_sent; /* its id; the upper half is random */
	struct listener listeners[RELAY_SENSORS];
	size_t n_listeners;
	/* Since boot: when the loop last went to wait; the last stop of the process. */
	int64_t awake_ns, stopped_ns, resumed_ns;

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
	char client_local[96], client_upstream[96], ack_filter[96], status_topic[96],
		stats_topic[192];
	bool opened; /* the outbox is open, the buses are */
	bool stopping;
	bool stopped;

	/* statistics */
	uint64_t received, accepted, duplicates, refused, batches, stored, rejected, later,
		spilled, outbox_count, live_count, resent, strange_answers, flying,
		oldest_s, dropped, damaged, commands_taken, commands_refused;
};

/* publisher.c */
int64_t relay_now(const struct relay *r);

/* intake.c */
/* A message on local/reading/<sensor>. */
void intake_reading(struct relay *r, const struct dp_bus_message *message);
/* Tell the samplers what is accepted. */
void intake_answer(struct relay *r);
/* Give readings without a time their time, once it is known. */
void intake_date(struct relay *r);
int64_t intake_deadline(const struct relay *r);
/* Note that a stream's readings are final, wherever they are. */
void relay_settle(struct relay *r, struct stream *stream, uint64_t first, uint64_t count);

/* uplink.c */
void uplink_open(struct relay *r);
void uplink_send(struct relay *r);
/* @return when it next has something to do, INT64_MAX for never */
int64_t uplink_deadline(const struct relay *r);
void uplink_expire(struct relay *r);

/* refusal.c */
#define REFUSAL_TOO_LARGE 0x95 /* MQTT 5: packet too large */
/* The batch of `len` bytes was too large: the next ones are cut smaller. */
void refusal_shrink(struct relay *r, size_t len);
/* Batches are refused for that MQTT 5 reason: nothing is sent before r->refused_until_ms.
 */
void refusal_note(struct relay *r, int reason);
/* The centre has answered a batch. */
void refusal_over(struct relay *r);
/* What is refused, for health; NULL nothing. */
const char *refusal_text(const struct relay *r);
/* A PUBACK said no; data is the relay. As dp_bus_options.on_refused. */
void refusal_by_puback(void *data, const char *topic, int reason);

/* opening.c */
/* Try to lock and open the outbox; when it is open, r->opened. */
void opening_start(struct relay *r);
/* The file is damaged: set it aside and begin a new one. No turn is under way. */
void opening_replace(struct relay *r);
/* Whether there is no file, as that has failed; tries it again when it is time. */
bool opening_mend(struct relay *r);
/* Free what the outbox and the streams hold, after the loop has ended. */
void opening_end(struct relay *r);

/* spill.c */
/* Start a turn when there is something to do. */
void spill_work(struct relay *r);
int64_t spill_deadline(const struct relay *r);
/* The stream's readings from the outbox are to be sent again. */
void spill_forget_page(struct relay *r);

/* turn.c */
/* Do on the work queue what r->turn says. */
void turn_start(struct relay *r);
/* Empty r->turn. */
void turn_forget(struct relay *r);
/* End the process when err is not 0: it can only be memory. */
void turn_must(int err);
/* Zeroed room for at least one element; ends the process when there is none. */
__attribute__((returns_nonnull)) void *turn_array(size_t count, size_t size);

/* commands.c */
/* @return whether the message from the centre was a command */
bool commands_take(struct relay *r, const struct dp_bus_message *message);
/* An answer to one, on local/answer/<id>/<response topic>. */
void commands_answered(struct relay *r, const struct dp_bus_message *message);
/* Those that waited for their sampler are passed on, or wait on; none waits for ever. */
void commands_flush(struct relay *r);
/* That sampler, or all with NULL, will not answer any more: its callers are told. */
void commands_lost(struct relay *r, const char *sampler);
/* After each connect to the centre. */
void commands_subscribe(struct relay *r);
/* Before the loop waits. */
void commands_note_awake(struct relay *r);
int64_t commands_deadline(const struct relay *r);
/* At the stop, while the centre can still be told: whatever waits is refused. */
void commands_finish(struct relay *r);

/* listeners.c */
/* local/listening/<output>, and a sampler that goes: local/sampler/<instance>. */
void listeners_note(struct relay *r, const struct dp_bus_message *message);
void listeners_note_sampler(struct relay *r, const struct dp_bus_message *message);
/* The node's broker is gone: who listens must say so again. */
void listeners_forget(struct relay *r);
/* After each connect to it. Whoever listens answers. */
void listeners_say_online(struct relay *r);
/* @return the sampler that listens for commands to it, or NULL */
const char *listeners_of(struct relay *r, const char *output);

/* last.c */
/* Of the name behind a topic's last slash; NULL when it is none, or there are too many. */
struct last *last_of_topic(struct relay *r, const char *topic);
bool last_is_online(const struct dp_bus_message *message);
/* Whether a is to be shown rather than b. */
bool last_is_newer(const struct relay *r, const struct shown *a, const struct shown *b);
void last_note(struct relay *r, const struct dp_identity *identity,
	const struct dp_reading *reading);
/* A reading that is not taken now: it can be shown all the same. */
void last_look(struct relay *r, const struct dp_bus_message *message,
	const struct dp_identity *identity);
/* local/last/<sensor>: one that waits for its turn. */
void last_note_waiting(struct relay *r, const struct dp_bus_message *message);
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
