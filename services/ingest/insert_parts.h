/*
 * Taking messages in, whichever database it is: insert_batch.c and insert_plain.c decide
 * what becomes of a message and call what is declared here. SQLite's side is
 * insert_sqlite.c, insert_stream.c and insert_reading.c; PostgreSQL's is in postgres/.
 */
#ifndef INGEST_INSERT_PARTS_H
#define INGEST_INSERT_PARTS_H

#include "intervals.h"
#include "reading.h"
#include "series.h"
#include "sink.h"

struct insert;

/* The message at hand, for whoever writes a dead letter or a result. */
struct context {
	struct insert *insert; /* the database's own */
	const struct insert_options *options;
	struct insert_counts *counts; /* of the transaction */
	const struct incoming *in;
	struct results *results;
	int64_t now_us;
	int64_t ahead_us; /* of insert_ahead_us() */
};

/* A stream's row within the transaction. */
struct stream_row {
	char node[DP_NAME_MAX + 1]; /* to whom it belongs */
	int64_t seen;		    /* wall clock, to the hour */
	uint64_t lost;		    /* so many more than before */
	struct dp_intervals *set;   /* the numbers that are consumed */
};

/*
 * The row of the message's stream, which is made if it is new. Nobody else changes it
 * before the transaction ends. @return 0 or a negative errno
 */
int insert_find_stream(struct context *c, struct stream_row **out);

/* Note a run of numbers that will never come. @return 0 or a negative errno */
int insert_lost(
	struct context *c, struct stream_row *stream, const struct dp_interval *gap);

/*
 * Keep what has changed in a row; at the latest when the transaction ends.
 * @return 0 or a negative errno
 */
int insert_save_stream(struct context *c, struct stream_row *stream);

/*
 * Keep a dead letter, of a topic as much as DEAD_TOPIC_MAX bytes. seq 0: about the whole
 * message. @return 0 or a negative errno
 */
int insert_dead_letter(
	struct context *c, const char *reason, uint64_t seq, const char *text, size_t len);

#define DEAD_TOPIC_MAX 1024

/* The reason in a dead letter's row: the database's own words if it was one for them. */
static inline const char *insert_reason(const struct context *c, const char *reason)
{
	return c->in->refused != NULL ? c->in->refused : reason;
}

/* Why a reading is refused for which series_place() finds no room. */
#define TOO_MANY_QUANTITIES                                                                \
	"no room for a new quantity: a sensor may have 192 besides temperature and "       \
	"humidity"
_Static_assert((SERIES_COLUMNS - SERIES_RESERVED) * SERIES_PARTS == 192,
	"TOO_MANY_QUANTITIES says how many there may be");

/*
 * Find the place of a reading's sensor and quantities; new ones are added. Readings with
 * the same names have the same place in this transaction.
 * @return 0; -E2BIG there is no room, and nothing was added; another negative errno
 */
int insert_place(struct context *c, const char *topic, const struct dp_reading *reading,
	struct place *place);

/* Store a reading, a row for each part, and print it. @return 0 or a negative errno */
int insert_row(struct context *c, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock);

/* Both of them. @return as insert_place() */
int insert_reading(struct context *c, const char *topic, const struct dp_reading *reading,
	enum dp_clock_mark clock);

/* In reading.clock, whatever the sender says of its own: never sent as a mark. */
#define CLOCK_AHEAD 3

/*
 * Readings of a later time are ahead of us: more than a day. While our own clock is not
 * plausible none is. @param now_us  wall clock, not before the build
 */
int64_t insert_ahead_us(int64_t now_us);

/* What reading.clock is for a reading of such a time; counts it. */
static inline unsigned insert_mark(
	struct context *c, int64_t ts_us, enum dp_clock_mark clock)
{
	if (ts_us <= c->ahead_us)
		return clock;
	c->counts->ahead++;
	return CLOCK_AHEAD;
}

/* Take in a message of either kind. @return 0, or an error that undoes the transaction */
int insert_batch(struct context *c);
int insert_plain(struct context *c);

/* Add the counts of a transaction that is committed. */
void insert_add_counts(struct insert_counts *to, const struct insert_counts *from);

#endif
