/* Names and topics of the wire contract (README.md). Pure. */
#ifndef DP_TOPIC_H
#define DP_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#define DP_NAME_MAX 64	 /**< bytes in a node's, sensor's or quantity's name */
#define DP_TOPIC_MAX 512 /**< bytes in any topic that we build, NUL included */

/** Whether it is 1 to DP_NAME_MAX of A-Z a-z 0-9 - . _, beginning with a letter or digit.
 */
bool dp_name_valid(const char *name, size_t len);

/**
 * Whether a topic prefix may be used: no wildcard, no control character, no
 * trailing slash, leaving room for the rest of the topic.
 */
bool dp_topic_prefix_valid(const char *prefix);

/**
 * Take `<node>` out of `<prefix>/<node><suffix>`.
 * @param node  DP_NAME_MAX + 1 bytes
 * @return 0, or -EINVAL when the topic is none of that form or the name is invalid
 */
int dp_topic_node(const char *topic, const char *prefix, const char *suffix, char *node);

/** Whether a response topic is one that ingest may answer to for this node. */
bool dp_topic_is_ack_of(const char *topic, const char *node);

#endif
