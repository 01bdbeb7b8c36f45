/*
 * What the broker says to SUBSCRIBE and PUBLISH, put in words for the log and for health.
 * Only bus.c uses it, on the loop's thread. Reason codes: MQTT 5, 2.4.
 */
#ifndef DP_BROKER_ANSWERS_H
#define DP_BROKER_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

#include "in_flight.h"
#include "refusals.h"
#include "subscriptions.h"

#define DP_REASON_REFUSED 0x80 /* reason codes from here on refuse */

/** All zero but for who talks to whom, which is not owned. */
struct dp_broker_answers {
	const char *client_id, *host;
	int port;
	struct dp_subscriptions subscriptions;
	struct dp_in_flight in_flight;
	struct dp_refusals refusals;
};

/** SUBACK: logged when it changes something. @param answer  a QoS or a reason code */
void dp_broker_answers_subscribed(
	struct dp_broker_answers *answers, int mid, int answer, int64_t now_ms);

/**
 * PUBACK.
 * @return the topic of a refused publish, empty when it is not known any more, which the
 *         caller frees; NULL: it was taken
 */
char *dp_broker_answers_published(
	struct dp_broker_answers *answers, int mid, int reason, int64_t now_ms);

/** The first subscription that is not granted, in words; empty when all are. */
void dp_broker_answers_lacking(
	const struct dp_broker_answers *answers, char *text, size_t size);

/** Free what it holds. */
void dp_broker_answers_finish(struct dp_broker_answers *answers);

#endif
