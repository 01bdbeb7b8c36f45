/*
 * Whether the broker waits for acknowledgements of plain messages. It has a limit, of
 * messages and maybe of bytes, that it may send without one, and does not say which; to
 * gather beyond it is to wait for nothing. Pure: the loop's time is passed in.
 */
#ifndef INGEST_BROKER_LIMIT_H
#define INGEST_BROKER_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker_limit {
	int64_t longest_ms;	   /**< nothing is gathered for longer */
	size_t n, bytes;	   /**< that have come without an acknowledgement */
	int64_t first_ms, last_ms; /**< when they came */
	int64_t acknowledged_ms;   /**< those before them */
	/** The most that this broker has sent without one; the largest message. */
	size_t most, most_bytes, largest_bytes;
	int64_t vain_ms;  /**< how long we last waited for more in vain; else -1 */
	unsigned stalls;  /**< how often in a row more came right after that */
	int64_t until_ms; /**< so long it counts as being at its limit */
};

void broker_limit_init(struct broker_limit *limit, int64_t longest_ms);

/** A message has come. */
void broker_limit_receive(struct broker_limit *limit, size_t bytes, int64_t now_ms);

/** What has come is being committed. @param all  nothing of it is left */
void broker_limit_take(struct broker_limit *limit, int64_t now_ms, bool all);

/** What was being committed is acknowledged, if it could be. */
void broker_limit_acknowledge(struct broker_limit *limit, int64_t now_ms);

/** The connection is another one. */
void broker_limit_forget(struct broker_limit *limit);

/** Whether it is at its limit all the time: to gather would hold it up each time. */
bool broker_limit_reached(const struct broker_limit *limit, int64_t now_ms);

/** When it may be supposed to wait, unless more comes; INT64_MAX: it may send more. */
int64_t broker_limit_quiet_ms(const struct broker_limit *limit);

#endif
