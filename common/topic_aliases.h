/*
 * Topic aliases of MQTT 5: which number stands for which topic on one connection, so that a
 * topic which comes again is not sent again. Pure.
 */
#ifndef DP_TOPIC_ALIASES_H
#define DP_TOPIC_ALIASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topic.h"

#define DP_TOPIC_ALIASES 16

/** All zero: the other side takes none. */
struct dp_topic_aliases {
	char topics[DP_TOPIC_ALIASES][DP_TOPIC_MAX]; /**< [i] is alias i + 1 */
	uint16_t n;
	uint16_t most; /**< that the other side takes */
	bool off;      /**< it has refused one that it had allowed */
};

/** A connection begins, and knows none yet. @param most  what its CONNACK allows */
void dp_topic_aliases_begin(struct dp_topic_aliases *aliases, uint16_t most);

/**
 * The alias of a topic.
 * @param known  set: the other side has heard the topic with it, which need not be sent
 * @return 0: it has none, and there is none left
 */
uint16_t dp_topic_alias(
	const struct dp_topic_aliases *aliases, const char *topic, bool *known);

/** A topic was sent with the alias that dp_topic_alias() gave it. */
void dp_topic_alias_sent(
	struct dp_topic_aliases *aliases, const char *topic, uint16_t alias);

/**
 * The other side ended the connection with that DISCONNECT reason. Where that may be
 * because of an alias, none are used any more, also on later connections.
 * @return whether they are given up just now
 */
bool dp_topic_aliases_ended(struct dp_topic_aliases *aliases, int reason);

#endif
