/*
 * What the publisher holds, by stream: readings in memory, readings on their way
 * to the outbox, readings in the outbox. Pure.
 */
#ifndef PUBLISHER_STREAM_H
#define PUBLISHER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "dating.h"
#include "identity.h"
#include "intervals.h"
#include "topic.h"

/** A reading in memory. */
struct held {
	uint64_t seq;
	int64_t arrived_ms;
	char *json; /**< SenML records without brackets; owned */
	uint32_t len;
	uint8_t clock;	     /**< enum dp_clock_mark; DP_CLOCK_NONE: no time yet */
	int64_t boottime_ns; /**< of one without a time; else 0 */
	bool in_flight;
};

struct stream {
	struct stream *next;
	struct dp_stream_id id;
	char node[DP_NAME_MAX + 1]; /**< on whose topic it is sent */
	int64_t row;		    /**< in the outbox; 0 when it has none yet */
	uint64_t heard_low;	    /**< the sampler's last word; 0 when it never spoke */
	int64_t heard_ms;

	struct boot *boot;   /**< of its readings without a time; NULL when it has none */
	uint64_t undated_to; /**< the last of them */
	int64_t boot_row;    /**< the boot that the outbox knows of; 0 none */

	bool low_due;	   /**< it closed its stream and the centre must hear */
	bool low_written;  /**< the outbox knows */
	int64_t low_at_ms; /**< when to say it next */
	int64_t low_wait_ms;

	struct held *live; /**< ascending by seq */
	size_t n_live, live_size;
	uint64_t live_from; /**< live readings below it are all in flight */

	struct dp_intervals spilling; /**< being written to the outbox, not answered */
	struct dp_intervals stored;   /**< in the outbox, not answered */

	struct dp_intervals accepted; /**< to be answered to the sampler */
	struct dp_intervals answered; /**< in the outbox and answered: to be removed */
	uint64_t sent_end;	      /**< one above the highest number ever sent */
	int64_t parked_until_ms;      /**< the centre said `later` */
	int64_t park_ms;
};

/** @return a stream without readings, or NULL when out of memory */
struct stream *stream_create(const struct dp_stream_id *id, const char *node);
void stream_destroy(struct stream *stream);

struct stream *stream_find(struct stream *list, const struct dp_stream_id *id);

/** Whether a reading is held anywhere. */
bool stream_holds(const struct stream *stream, uint64_t seq);

/** Whether nothing is held at all. */
bool stream_empty(const struct stream *stream);

/** Add to memory; the json changes hands. @return 0, -EEXIST when held already, -ENOMEM */
int stream_hold(struct stream *stream, const struct held *reading);

/**
 * The oldest number that anyone up to here still holds, for the `low` property.
 * @return 0 when it is not known: the sampler has not spoken
 */
uint64_t stream_low(const struct stream *stream);

/** Whether its oldest reading cannot be sent: it is not known yet when it was taken. */
bool stream_waits(const struct stream *stream);

/** What a reading's time is worth, sent now. */
enum dp_clock_mark stream_mark(const struct stream *stream, uint8_t clock);

/** The first live reading that is not in flight; NULL when there is none. */
struct held *stream_next_live(struct stream *stream);

/**
 * Take [first, first + count) out of memory and mark what is in the outbox as
 * answered: it is final. Adds to `accepted` what the sampler must hear.
 * @param bytes  how much memory went
 * @return how many live readings went; -ENOMEM
 */
int stream_settle(struct stream *stream, uint64_t first, uint64_t count, size_t *bytes);

/** A flight is back: what of it is still held is to be sent again. */
void stream_unsend(struct stream *stream, uint64_t first, uint64_t count);

/** Everything is to be sent again: the connection is gone. */
void stream_unsend_all(struct stream *stream);

#endif
