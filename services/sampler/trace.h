/*
 * Logic-analyser captures of a sensor's data line: parsing, and finding the transactions
 * in them. Pure but for the memory of the edges.
 *
 * A capture is text, one row `t_ns,level` for each change of the line: nanoseconds (any
 * origin, never falling) and the level after the change (0 or 1, so they alternate). A
 * header row `t_ns,level` may come first. Rows may end in CR LF; empty rows are ignored.
 */
#ifndef SAMPLER_TRACE_H
#define SAMPLER_TRACE_H

#include "dht_decode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** More edges than this are refused. */
#define TRACE_EDGES_MAX 1000000
/** Enough text for that many edges; a caller need not read more. */
#define TRACE_TEXT_MAX ((size_t)TRACE_EDGES_MAX * 25)
/** Room for a reason, its end included. */
#define TRACE_WHY_MAX 128

/** All zero is the empty trace. */
struct trace {
	int64_t *t_ns;	  /**< ascending; equal times are allowed */
	size_t count;	  /**< at least 1 after trace_parse() */
	int first_level;  /**< level after the first edge; every edge changes it */
	size_t cut_line;  /**< the row in which the text ends before its level, or 0 */
	size_t last_line; /**< the row of the last edge */
};

/** One start pulse and what followed it, up to the next one. */
struct trace_transaction {
	/** The falling edge of the start pulse, or the first edge of the capture. */
	int64_t t_ns;
	int64_t release_ns; /**< DHT_RELEASE_UNKNOWN if the capture began after it */
	size_t first, end;  /**< indices of the edges after the release: [first, end) */
	/** The capture ends less than 1 ms after an edge that belongs to this. */
	bool at_end;
};

/**
 * Parse a capture.
 * @param out  trace_finish() it; empty on failure
 * @param why  on failure what is wrong, beginning with `line N: `; TRACE_WHY_MAX bytes
 * @return 0; -EBADMSG malformed; -EFBIG too many edges; -ENOMEM
 */
int trace_parse(const char *text, size_t len, struct trace *out, char *why);

/** Free the edges; the trace is empty afterwards. */
void trace_finish(struct trace *trace);

/** The level after edge i. */
int trace_level(const struct trace *trace, size_t i);

/**
 * The next transaction. A start pulse is a low of 300 us or more, or one of 90 us or
 * more on a line that has been quiet for 1 ms (shorter than any sensor wants, but a
 * host may send it). A capture may begin within the start pulse (first edge rising) or
 * within the frame. A start pulse in which the capture ends is not reported.
 * @param at  0 at first; where to go on
 * @return false when there is none
 */
bool trace_next(const struct trace *trace, size_t *at, struct trace_transaction *out);

/**
 * Decode a transaction with dht_decode(), by both edges. If that fails for pulses
 * shorter than any sensor's (5 us), it is tried without them, as a recovery. A capture that
 * begins within a frame gives no value for bits that may be the end of 64.
 * @param out  as for dht_decode()
 */
enum dht_status trace_decode(const struct trace *trace,
	const struct trace_transaction *transaction, const struct dht_options *options,
	struct dht_reading *out);

/**
 * Whether the capture ends in the middle of this transaction.
 * @param status,reading  from trace_decode()
 */
bool trace_ends_within(const struct trace *trace,
	const struct trace_transaction *transaction, enum dht_status status,
	const struct dht_reading *reading);

#endif
