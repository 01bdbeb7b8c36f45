/*
 * When readings leave that may wait for others: with SEND_EVERY at its end (tick.h), else
 * what comes soon after the last message goes with the next one. Pure: the caller passes
 * the time.
 */
#ifndef PUBLISHER_PACING_H
#define PUBLISHER_PACING_H

#include <stdbool.h>
#include <stdint.h>

/** Only pacing.c writes it. */
struct pacing {
	int64_t every_ms; /**< SEND_EVERY; 0: none */
	int64_t apart_ms; /**< between two volleys at least; 0: nothing waits */
	int64_t last_ms;  /**< of the last volley */
};

/** @param answer_ms  how long an answer may take: a tenth of it is not missed */
void pacing_init(struct pacing *pacing, int64_t answer_ms, int64_t every_ms);

/** When a reading that came at that time is to leave. */
int64_t pacing_due(const struct pacing *pacing, int64_t arrived_ms);

/** Readings have left, of all streams that had some. */
void pacing_sent(struct pacing *pacing, int64_t now_ms);

/** What is sent next need not wait: the connection is a new one. */
void pacing_reset(struct pacing *pacing);

#endif
