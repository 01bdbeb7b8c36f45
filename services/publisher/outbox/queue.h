/*
 * The outbox as the publisher's other parts see it: readings leave memory for its file when
 * the centre does not answer, and come back a page at a time. Alone it owns the file.
 *
 * All calls and all events are on the loop. What waits for the disk runs on the worker, a
 * thread of the loop's pool, one piece at a time; meanwhile the file, the page and the job
 * are the worker's. Of a stream it reads only what never changes.
 */
#ifndef PUBLISHER_QUEUE_H
#define PUBLISHER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "../settings.h"
#include "../streams/streams.h"
#include "job.h"
#include "notes.h"
#include "opening.h"
#include "outbox.h"
#include "spill.h"

/** What the queue refers to outlives it. */
struct queue_options {
	uv_loop_t *loop;
	const struct dp_clock *clock;
	const struct publisher_config *config;
	struct streams *streams; /**< the owner's; filled when the outbox is opened */
	void *data;
	/**
	 * The page that queue_work() was asked for. It belongs to the queue and stays as it
	 * is until queue_work() is asked for the next.
	 */
	void (*page)(void *data, struct stream *stream, const struct outbox_page *page);
	/** Whether that reading is on its way to the centre. */
	bool (*in_flight)(void *data, const struct stream *stream, uint64_t seq);
	/** The file cannot be used, and not later either; it is logged. */
	void (*failed)(void *data);
};

enum queue_work { QUEUE_IDLE, QUEUE_OPENS, QUEUE_REPLACES, QUEUE_RUNS_JOB };

/** Only queue.c writes it, and spill.c, notes.c and opening.c what is theirs. */
struct queue {
	struct queue_options options;
	struct opening opening;
	struct spill spill;
	struct notes notes;
	struct outbox *outbox; /**< NULL: not open, or damaged and not replaced yet */
	bool opened;	       /**< it was open once: the streams are there */
	bool stopping;
	bool last_try;			    /**< stopping, and a job was begun since */
	char instance[OUTBOX_INSTANCE + 1]; /**< its name, once opened */
	uv_work_t work;
	enum queue_work working; /**< what the worker does for us */
	int result;		 /**< of opening or replacing */
	struct job job;
	struct outbox_page page;
	struct outbox_usage usage; /**< after the last work */
	bool load_failed;
	int64_t load_retry_ms, shrink_retry_ms;
	uint64_t damaged; /**< statistics: readings given up as the file was damaged */
};

void queue_init(struct queue *queue, const struct queue_options *options);

/** Try to lock and open the file, unless that is under way or it is too early. */
void queue_open(struct queue *queue);

/** Begin what is due, unless work is under way. */
void queue_work(struct queue *queue, const struct page_want *want);

/** Whether a job has the file. Meanwhile queue_work() begins no other. */
bool queue_busy(const struct queue *queue);

/** From now on only what is in memory is written, once. */
void queue_stop(struct queue *queue);

/** Whether it has nothing more to save, or cannot. */
bool queue_saved(const struct queue *queue);

/** Whether the file is there and took what was written last. */
bool queue_writes(const struct queue *queue);

/** When queue_open() or queue_work() has something to do next; INT64_MAX never. */
int64_t queue_deadline(const struct queue *queue);

/** What is wrong, in words that are constant; NULL nothing. */
const char *queue_health(const struct queue *queue);

/** After the loop has ended: close and free. The streams are the owner's. */
void queue_finish(struct queue *queue);

#endif
