/*
 * Messages that have arrived and are not stored yet, and the batch of them that is being
 * stored: when the next batch begins, how large it is, what is tried again and when. Pure:
 * the loop's time is passed in. On the loop; a batch is the store's while a job has it.
 */
#ifndef INGEST_BATCHES_H
#define INGEST_BATCHES_H

#include "gathering.h"
#include "incoming.h"

struct batches {
	struct queue queue; /**< arriving */
	struct queue batch; /**< being stored, or waiting to be tried again */
	size_t most_bytes;  /**< of all together */
	size_t batch_bytes; /**< of a batch: as large as could be stored in time */
	bool storing;	    /**< a job has the batch */
	bool plain_gone;    /**< meanwhile its plain messages were given up */
	bool plain_batched; /**< the batch has a plain message */
	bool refused;	    /**< for what it is: it was tried again as it was */
	/** Refused readings that stand together in a message; the batch is what follows. */
	struct incoming *run;
	struct incoming *hopeless;  /**< see batches_hopeless() */
	int last_error;		    /**< why the last batch was not stored; 0 */
	int64_t retry_ms;	    /**< how long the next failure waits */
	int64_t retry_at_ms;	    /**< when the batch is tried again */
	int64_t gather_until_ms;    /**< until then a batch may wait for more */
	struct gathering gathering; /**< how long the queue waits */
};

/**
 * @param most_bytes     messages beyond it are not wanted: batches_full()
 * @param plain_wait_ms  how long a plain message may wait for others
 */
void batches_init(struct batches *batches, size_t most_bytes, int64_t plain_wait_ms);

/** Add a message, which changes hands. */
void batches_add(struct batches *batches, struct incoming *in, int64_t now_ms);

/** Whether what holds messages back should: memory has no room for more. */
bool batches_full(const struct batches *batches);

/** Bytes of all messages. */
size_t batches_bytes(const struct batches *batches);

/** Whether a plain message has arrived that is in no batch yet. */
bool batches_expect_plain(const struct batches *batches);

/**
 * Whether what holds plain messages back should: an acknowledgement is for all that have
 * arrived, and those of the batch are not to wait for later ones.
 */
bool batches_hold_plain(const struct batches *batches);

/**
 * The plain messages will come again: forget them, or, while a job has some, as soon as
 * it turns out that they were not stored.
 */
void batches_forget_plain(struct batches *batches);

/**
 * Make a batch of the queue, unless there is one or it pays to wait for more.
 * @param congested  the broker is slow to take what we send
 * @param hurry      do not wait
 */
void batches_fill(struct batches *batches, int64_t now_ms, bool congested, bool hurry);

/** Whether a batch is there and due. */
bool batches_due(const struct batches *batches, int64_t now_ms);

/** How long until there may be something to do; -1: until a message comes. */
int64_t batches_wait_ms(const struct batches *batches, int64_t now_ms);

/** A job begins. @return its batch, which is the store's until batches_end(); or NULL */
struct queue *batches_begin(struct batches *batches, int64_t now_ms);

/**
 * The job is over.
 * @param err  sink_job.stored: 0 the batch is freed, of which nothing may be used any more;
 *             else it, or what of it may be stored, is due later
 * @param why  in words
 * @return whether err is now the last error; not while a message is looked for that the
 *         database refuses
 */
bool batches_end(struct batches *batches, int64_t now_ms, int err, const char *why);

/**
 * A message whose dead letter is refused as well: it is in no batch any more.
 * @return it, which changes hands; or NULL
 */
struct incoming *batches_hopeless(struct batches *batches);

/** The store is back: do not wait for the next attempt. */
void batches_retry_now(struct batches *batches);

/** Free all messages. */
void batches_finish(struct batches *batches);

#endif
