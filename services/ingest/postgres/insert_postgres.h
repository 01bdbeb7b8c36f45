/*
 * The PostgreSQL store, among its parts. A transaction is taken in by insert_pass(),
 * which knows no connection: it fills what is to be sent (insert_rows.c). Sensors,
 * columns and days that it does not know yet are made first, in transactions of their
 * own (provision.c), and the pass is made again. sink_postgres.c has the turns.
 */
#ifndef INGEST_POSTGRES_INSERT_POSTGRES_H
#define INGEST_POSTGRES_INSERT_POSTGRES_H

#include "../dead_log.h"
#include "../insert_parts.h"
#include "../printed.h"
#include "../series.h"
#include "pg.h"
#include "streams.h"
#include "wire.h"

#define DAY_US INT64_C(86400000000)

/* A column that a sensor does not have yet. Those that one reading wants stand together:
 * it gets all of them or none. */
struct wanted_channel {
	struct series *series; /* the sensor's first part */
	bool begins;	       /* the first one of a reading */
	struct channel channel;
};

struct insert {
	struct insert_options options;
	struct insert_counts counts, pending;
	struct printed printed;
	struct dead_log dead_log;
	uint64_t untrimmed; /* dead letters since they were last held to their limit */

	/* What is known of the database. */
	struct series_cache series; /* with sensor 0: not made yet */
	struct dp_intervals days;   /* since 1970, that have a partition */
	int64_t days_again_us;	    /* before it no partition is wanted */
	int64_t late_before_us;	    /* readings older than that are late */
	int64_t dropped_until_us;   /* days before it are dropped, and none is wanted */

	/* The transaction. */
	int64_t now_us;
	struct streams streams;
	struct wire copy; /* rows of reading */
	struct wire late; /* rows of late: those of them that are */
	size_t n_late;
	struct wire_array lost_stream, lost_first, lost_count;
	struct wire_array dead_ts, dead_topic, dead_reason, dead_stream, dead_seq,
		dead_bytes, dead_payload;

	/* What has to be made first. */
	struct wanted_channel *wanted;
	size_t n_wanted, wanted_size;
	struct dp_intervals wanted_days;
	int64_t last_day; /* the day of the last reading, which is known or wanted */
	bool wants_series;
};

/*
 * Take a list of messages in, with the streams locked.
 * @param fence  as in struct sink_turn
 * @return 0; -EAGAIN something is wanted, and nothing of this may be used; another
 *         negative errno
 */
int insert_pass(struct insert *insert, const struct incoming *list,
	const struct dp_lease *fence, struct results *results);

/* Forget the transaction, not what is known. */
void insert_forget(struct insert *insert);

/* Forget what is known: the database may be another one. */
void insert_forget_database(struct insert *insert);

void insert_finish(struct insert *insert);

#endif
