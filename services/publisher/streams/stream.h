/*
 * What the publisher holds of one stream: readings in memory (live), on their way into the
 * outbox (spilling), in the outbox (stored). Pure.
 *
 * Only stream.c writes it, but for what bears the name of another part.
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
struct live_reading {
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

	/* What its sampler said. */
	uint64_t heard_low; /**< its last `low`; 0 when it never spoke */
	int64_t heard_ms;
	struct boot *boot;   /**< of its readings without a time; NULL when it has none */
	uint64_t undated_to; /**< the last of them */
	bool low_due;	     /**< it closed its stream and the centre must hear */
	bool urgent;	     /**< it cannot wait for answers: it stops, or has no room */
	int64_t urgent_ms;   /**< since when */
	bool patient;	     /**< it has said once that answers may take time */
	bool noted_hasty;    /**< stream_is_hasty() has been true */

	/** What the outbox knows of it: written by the outbox. */
	struct {
		int64_t row;	  /**< 0 when it has none yet */
		int64_t boot_row; /**< the boot that it knows of; 0 none */
		bool low_written; /**< of its last word, that the centre must hear */
	} outbox;

	/** How it is sent: written by the uplink. */
	struct {
		uint64_t sent_end;	 /**< one above the highest number ever sent */
		int64_t parked_until_ms; /**< the centre said `later` */
		int64_t park_ms;
		int64_t low_at_ms; /**< when to say its last word next */
		int64_t low_wait_ms;
		bool urged; /**< nothing is in flight whose answer may take time */
		int64_t ungranted_ms; /**< its name is refused: the next pause; 0: it is not
				       */
		int64_t ungranted_until_ms; /**< when to ask again */
		bool asked;		    /**< a message asks whether it still is */
	} uplink;

	struct live_reading *live; /**< ascending by seq */
	size_t n_live, live_size, live_bytes;
	uint64_t live_from; /**< below, all live ones are in flight */

	struct dp_intervals spilling; /**< being written to the outbox, not answered */
	struct dp_intervals stored;   /**< in the outbox, not answered */

	struct dp_intervals accepted; /**< to be answered to the sampler */
	struct dp_intervals answered; /**< in the outbox and answered: to be removed */
};

/** @return a stream without readings, or NULL when out of memory */
struct stream *stream_create(const struct dp_stream_id *id, const char *node);
void stream_destroy(struct stream *stream);

/** Whether a reading is held anywhere. */
bool stream_holds(const struct stream *stream, uint64_t seq);

/** Whether nothing is held at all. */
bool stream_empty(const struct stream *stream);

/** How many of its readings are in the outbox, not answered. */
uint64_t stream_stored(const struct stream *stream);

/** Its sampler has said something. @param urgent  it cannot wait for its answers */
void stream_hear(struct stream *stream, int64_t now_ms, bool urgent);

/**
 * Whether its sampler has wanted every answer at once for a minute, and never said anything
 * else: it may not know that they can take time. True once.
 */
bool stream_is_hasty(struct stream *stream, int64_t now_ms);

/**
 * A reading of that boot that came without a time.
 * @param undated  its number when it still has none, else 0
 */
void stream_hear_boot(struct stream *stream, struct boot *boot, uint64_t undated);

/** As the outbox's file has it. `stored` changes hands. */
void stream_load(struct stream *stream, uint64_t low, bool closed, uint64_t undated_to,
	struct dp_intervals *stored, struct boot *boot);

/** Its sampler holds nothing below `low` any more; `last`: and nothing above. */
void stream_hear_low(struct stream *stream, uint64_t low, bool last);

/** Add to memory; the json changes hands. @return 0, -EEXIST when held already, -ENOMEM */
int stream_add_live(struct stream *stream, const struct live_reading *reading);

/**
 * The oldest number that anyone up to here still holds, for the `low` property.
 * @return 0 when it is not known: the sampler has not spoken
 */
uint64_t stream_low(const struct stream *stream);

/** Whether its oldest reading cannot be sent: it is not known yet when it was measured. */
bool stream_waits(const struct stream *stream);

/** What a reading's time is worth, sent now. */
enum dp_clock_mark stream_mark(const struct stream *stream, uint8_t clock);

/** The first live reading that is not in flight; NULL when there is none. */
struct live_reading *stream_next_live(struct stream *stream);

/**
 * The centre has answered [first, first + count) for good: they leave memory, and what is
 * in the outbox is marked as answered. Adds to `accepted` what the sampler must hear.
 * @return 0 or -ENOMEM
 */
int stream_answer(struct stream *stream, uint64_t first, uint64_t count);

/** The sampler need not keep this one, which is answered or stored. @return 0; -ENOMEM */
int stream_accept_again(struct stream *stream, uint64_t seq);

/** It has been told what is accepted, up to that number. @return 0; -ENOMEM */
int stream_accept_told(struct stream *stream, uint64_t last);

/** Live readings up to one below `end` are on their way. */
void stream_sent(struct stream *stream, uint64_t end);

/** The centre has heard its last word. */
void stream_low_heard(struct stream *stream);

/** A flight is back: what of it is still held is to be sent again. */
void stream_unsend(struct stream *stream, uint64_t first, uint64_t count);

/** Everything is to be sent again: the connection is gone. */
void stream_unsend_all(struct stream *stream);

/* ---- into the outbox and out of it ---- */

/**
 * Live readings for which `goes` says so are spilling from now on. It takes their json.
 * @return 0 or -ENOMEM, with what `goes` has not been asked about still live
 */
int stream_spill(struct stream *stream,
	bool (*goes)(void *data, struct stream *stream, const struct live_reading *reading),
	void *data);

/** That one is written: stored and accepted, or answered meanwhile. @return 0; -ENOMEM */
int stream_spilled(struct stream *stream, uint64_t seq);

/**
 * That one could not be written: it is live again, unless it was answered meanwhile.
 * @return 0 and its json is the stream's; -ENOENT answered, the json stays the caller's;
 *         -ENOMEM
 */
int stream_not_spilled(struct stream *stream, const struct live_reading *reading);

/**
 * Stored readings are lost or dropped: they are to be removed as if answered, and the
 * centre hears of it by `low`. @return 0 or -ENOMEM
 */
int stream_give_up(struct stream *stream, uint64_t first, uint64_t last);

/** What is answered is being removed from the outbox, or could not be. @return -ENOMEM */
void stream_begin_remove(struct stream *stream);
int stream_not_removed(struct stream *stream, const struct dp_interval *range);

/** The outbox's file is gone, and what only it had. */
void stream_lose_outbox(struct stream *stream);

#endif
