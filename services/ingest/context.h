/*
 * One message on its way into a transaction: insert_batch.c and insert_plain.c decide what
 * becomes of it, and a store's operations write it down. Lives where the store's
 * transactions run: on the work queue for SQLite, on the loop for PostgreSQL.
 */
#ifndef INGEST_CONTEXT_H
#define INGEST_CONTEXT_H

#include "effects.h"
#include "intervals.h"
#include "reading.h"
#include "series.h"
#include "sink.h"

/** A stream's row within the transaction. */
struct stream_row {
	char node[DP_NAME_MAX + 1]; /**< to whom it belongs */
	int64_t seen;		    /**< wall clock, to the hour */
	uint64_t lost;		    /**< so many more than before */
	struct dp_intervals *set;   /**< the numbers that are stored, rejected or lost */
};

/** A row of `dead_letter`. */
struct dead_letter {
	size_t topic_len; /**< bytes that are kept of the message's topic */
	const char *reason;
	const struct dp_stream_id *stream; /**< NULL: of no stream */
	uint64_t seq;			   /**< 0: about the whole message */
	const char *text;
	size_t len, kept; /**< of the text; bytes that are kept of it */
};

struct context;

/** What a store writes. All return 0 or a negative errno, which undoes the transaction. */
struct store_ops {
	/**
	 * The row of the message's stream, which is made if it is new. Nobody else changes
	 * it before the transaction ends.
	 */
	int (*find_stream)(struct context *c, struct stream_row **out);
	/** Note a run of numbers of the stream found last that will never come. */
	int (*add_lost)(struct context *c, const struct dp_interval *gap);
	/** Keep what has changed in the row; at the latest when the transaction ends. */
	int (*save_stream)(struct context *c);
	int (*add_dead_letter)(struct context *c, const struct dead_letter *letter);
	/**
	 * Find the place of a reading's sensor and quantities; new ones are added. Readings
	 * with the same names have the same place in this transaction.
	 * @return -E2BIG there is no room, and nothing was added; or as the others
	 */
	int (*find_place)(struct context *c, const char *topic,
		const struct dp_reading *reading, struct place *place);
	/** Store a reading, one row for each part. @param mark  reading.clock */
	int (*add_rows)(struct context *c, const struct dp_reading *reading,
		const struct place *place, unsigned mark);
};

struct context {
	const struct store_ops *ops;
	void *store; /**< for the operations */
	const struct sink_options *options;
	struct effects *effects;
	struct counts *counts; /**< of the transaction */
	struct results *results;
	int64_t now_us;
	int64_t ahead_us;	   /**< later readings are ahead of us */
	const struct incoming *in; /**< the message */
};

/** Of a transaction that begins, still without a message. @param now_us  wall clock */
struct context context_of(const struct store_ops *ops, void *store,
	const struct sink_options *options, struct effects *effects,
	struct results *results, int64_t now_us);

#define DEAD_TOPIC_MAX 1024 /**< bytes of a topic that a dead letter keeps */

/** Keep a dead letter. @param seq  0: about the whole message. @return as store_ops */
int context_dead_letter(
	struct context *c, const char *reason, uint64_t seq, const char *text, size_t len);

/** Why a reading is refused for which find_place() finds no room. */
#define TOO_MANY_QUANTITIES                                                                \
	"no room for a new quantity: a sensor may have 192 besides temperature and "       \
	"humidity"
_Static_assert((SERIES_COLUMNS - SERIES_RESERVED) * SERIES_PARTS == 192,
	"TOO_MANY_QUANTITIES says how many there may be");

/** In reading.clock, whatever the sender says of its own: never sent as a mark. */
#define CLOCK_AHEAD 3

/** Store a reading where its place is, and print it. @return as store_ops */
int context_add_rows(struct context *c, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock);

/** Find its place and store it. @return as store_ops.find_place() */
int context_add_reading(struct context *c, const char *topic,
	const struct dp_reading *reading, enum dp_clock_mark clock);

#endif
