/*
 * What a connection has asked the broker for, and what the broker said to it. Pure: time
 * comes in, what is to be asked goes out. A connection is able to work once everything
 * is granted.
 */
#ifndef DP_SUBSCRIPTIONS_H
#define DP_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_SUBSCRIBE_FIRST_MS 30000
#define DP_SUBSCRIBE_LIMIT_MS 600000
#define DP_SUBSCRIBE_QOS 1

struct dp_subscription {
	char *filter; /**< owned */
	int mid;      /**< of the SUBSCRIBE on its way, 0: none */
	int answer;   /**< the last one: -1 none yet, a QoS, or a reason from 0x80 on */
	int error;    /**< why the last SUBSCRIBE could not be sent, negative errno; or 0 */
	bool wanted;  /**< on this connection */
	int64_t next_ms; /**< when to ask again, unless granted */
	int64_t wait_ms; /**< how long to wait then */
};

/** All zero is the empty set. */
struct dp_subscriptions {
	struct dp_subscription *at;
	size_t n;
};

/** What an answer changed, for the log. */
enum dp_subscription_news {
	DP_SUBSCRIPTION_SAME, /**< as before, or an answer to nothing that was asked */
	DP_SUBSCRIPTION_GRANTED,
	DP_SUBSCRIPTION_WEAKER, /**< granted with QoS 0 */
	DP_SUBSCRIPTION_REFUSED,
};

/** A new connection: nothing is asked for yet. What was refused before is remembered. */
void dp_subscriptions_begin(struct dp_subscriptions *set);

/**
 * A filter is asked for, or is to be. @return its entry, valid until the next call, for
 * the mid of its SUBSCRIBE; NULL: no memory
 */
struct dp_subscription *dp_subscriptions_ask(
	struct dp_subscriptions *set, const char *filter, int64_t now_ms);

/** A filter is wanted no longer; one that never was changes nothing. */
void dp_subscriptions_drop(struct dp_subscriptions *set, const char *filter);

/**
 * SUBACK. @param answer  the granted QoS, or a reason from 0x80 on
 * @param entry  the entry meant; untouched when there is none
 */
enum dp_subscription_news dp_subscriptions_answered(struct dp_subscriptions *set, int mid,
	int answer, int64_t now_ms, const struct dp_subscription **entry);

/** One that is due to be asked for again, with its next time set; NULL: none. */
struct dp_subscription *dp_subscriptions_due(struct dp_subscriptions *set, int64_t now_ms);

/** The first one not granted as asked for: refused or not sent, else weaker, else open;
 * NULL: none. */
const struct dp_subscription *dp_subscriptions_lacking(const struct dp_subscriptions *set);

/** Free what it holds. */
void dp_subscriptions_finish(struct dp_subscriptions *set);

#endif
