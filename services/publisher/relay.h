/*
 * The publisher's one context, and which file does what with it:
 *
 *   publisher.c  start, stop, health; the local broker: readings in, acceptance out
 *   uplink.c     the central broker: batches out, answers in
 *   spill.c      the outbox, from the loop's side
 *   last.c       state/<node>/<sensor>: the last reading of each sensor
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
#include "delivery.h"
#include "outbox.h"
#include "publisher.h"
#include "reading.h"
#include "stats.h"
#include "stream.h"

#define RELAY_WINDOW 64
#define RELAY_RESERVE 8	     /* of it for live readings */
#define RELAY_LIVE_MAX 20000 /* readings in memory; beyond, the samplers keep them */
#define RELAY_LIVE_BYTES (4u << 20)
#define RELAY_BATCH_BYTES (128u << 10)
#define RELAY_SENSORS 256
#define RELAY_STATS 16

/* The last reading of a sensor, as flat JSON. */
struct last {
	char sensor[DP_NAME_MAX + 1];
	char json[512];
	int64_t ts_us;
	bool due;
};

/* One turn of the outbox on the work queue: remove, append, load. */
struct turn {
	uv_work_t work;
	bool running;
	struct {
		struct stream *stream;
		struct dp_interval range;
	} *removes;
	size_t n_removes;
	struct append {
		struct stream *stream;
		struct held held;
		uint64_t low;
		int64_t row; /* of the stream, once it is written */
	} *appends;
	size_t n_appends;
	struct stream **news; /* seen for the first time: their node is written down */
	size_t n_news;
	bool load;
	struct stream *load_stream;
	int64_t load_row;
	uint64_t load_seq;
	int remove_result, append_result, load_result, news_result;
};

struct relay {
	struct dp_service *service;
	const struct publisher_config *config;
	struct dp_bus *local, *upstream;
	struct dp_delivery delivery;
	struct dp_flight flights[RELAY_WINDOW];
	bool silent; /* messages time out unanswered */
	int64_t silent_until_ms;
	struct stream *streams; /* in order of arrival */
	size_t live, live_bytes;
	char *batch;	    /* RELAY_BATCH_BYTES and a little, for the batch being cut */
	size_t batch_limit; /* bytes; shrinks when the centre takes smaller messages only */

	int lock; /* of the outbox */
	int64_t lock_retry_ms;
	uv_work_t open_work;
	bool opening;
	int open_result;
	struct outbox *outbox;
	struct turn turn;
	struct outbox_page page;
	struct stream *page_stream;
	size_t page_at;	 /* the next of it to send */
	bool page_stale; /* the turn under way loads what is no longer wanted */
	int spill_error; /* why the last append failed, 0 */
	int64_t spill_retry_ms, load_retry_ms;
	bool remove_failed;
	int64_t removed_ms; /* when answered readings were last removed */
	bool flush;	    /* stopping: everything in memory goes to the outbox now */

	struct last last[RELAY_SENSORS];
	size_t n_last;
	bool last_due;
	int64_t last_ms;

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
		spilled, outbox_count, live_count, resent, strange_answers;
};

/* publisher.c */
int64_t relay_now(const struct relay *r);
/* Note that a stream's readings are final, wherever they are. */
void relay_settle(struct relay *r, struct stream *stream, uint64_t first, uint64_t count);

/* uplink.c */
void uplink_open(struct relay *r);
void uplink_send(struct relay *r);
/* @return when it next has something to do, INT64_MAX for never */
int64_t uplink_deadline(const struct relay *r);
void uplink_expire(struct relay *r);

/* spill.c */
/* Try to lock and open the outbox; when it is open, r->opened. */
void spill_open(struct relay *r);
/* Start a turn when there is something to do. */
void spill_work(struct relay *r);
int64_t spill_deadline(const struct relay *r);
/* The stream's readings from the outbox are to be sent again. */
void spill_forget_page(struct relay *r);
void spill_close(struct relay *r);

/* last.c */
void last_note(struct relay *r, const struct dp_reading *reading);
void last_send(struct relay *r);
void last_send_all(struct relay *r); /* after a connect */
int64_t last_deadline(const struct relay *r);

#endif
