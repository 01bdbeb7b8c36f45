/* A message as it came, copied; queues of them; what is to be answered. Pure. */
#ifndef INGEST_INCOMING_H
#define INGEST_INCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ack.h"
#include "bus.h"
#include "condensed.h"
#include "identity.h"
#include "topic.h"

#define CORRELATION_MAX 64

struct incoming {
	struct incoming *next;
	bool plain;		    /**< from anyone's device, without an identity */
	char node[DP_NAME_MAX + 1]; /**< of a native batch's topic */
	int64_t received_us;
	enum dp_clock_mark clock; /**< what received_us is worth: a plain message's time */
	int identity_error;	  /**< of dp_identity_decode() */
	const char *identity_why;
	struct dp_identity identity;
	uint64_t part_first; /**< which of its readings this copy is about: all, or a */
	uint32_t part_count; /**< part that incoming_split() has left */
	size_t correlation_len;
	uint8_t correlation[CORRELATION_MAX];
	unsigned refusals;	/**< of incoming_refuse() */
	char *refused;		/**< the reason in words if there are any */
	bool condensed;		/**< the payload is, and all of it is of that form */
	bool too_long;		/**< than the condenser allows: one dead letter */
	const char *unreadable; /**< why an encoded payload is kept as it came; NULL */
	size_t len;
	const char *payload;
	const char *topic;
	const char *response_topic; /**< NULL: nobody to answer to */
	char text[];		    /* what the strings point into */
};

/** Messages in the order they came; made by queue_init(). */
struct queue {
	struct incoming *first, **end;
	size_t n, bytes;
};

/** What is to be answered about a message, or a part of it. */
struct result {
	const struct incoming *about;
	bool whole; /**< not even the identity could be read */
	bool heard; /**< it only carried a `low`, which is noted; no range */
	struct dp_ack_range range;
};

struct results {
	struct result *at;
	size_t n, size;
};

/**
 * Copy a message. `clock` says what received_us is worth. A response topic outside
 * `ack/<node>/` is left out. A batch is inflated if it is deflated, and condensed if it can
 * be; a plain message needs no condenser.
 * @return NULL when out of memory
 */
struct incoming *incoming_copy(const struct dp_bus_message *message, bool plain,
	const char *topic_prefix, int64_t received_us, enum dp_clock_mark clock,
	struct condenser *condenser);

/** Bytes that a copy holds. */
size_t incoming_size(const struct incoming *in);

/** Free a list. */
void incoming_free(struct incoming *list);

/** Whether a list has plain messages. */
bool incoming_has_plain(const struct incoming *list);

#define REFUSALS_MAX 2
#define REFUSED "the database does not take it" /**< the reason without its words */

/**
 * The database refuses a message for what is in it. After the first time it becomes a
 * dead letter; after the second, one that touches nothing of its stream either.
 * @param why  the database's words, of which what is well-formed UTF-8 is kept
 * @return false: it was refused REFUSALS_MAX times before
 */
bool incoming_refuse(struct incoming *in, const char *why);

/**
 * Divide a batch of two and more readings in two, so that the database can refuse one
 * without the other. `in` keeps the first half. Out of memory the program ends: what was
 * not answered comes again.
 * @return the other one, a copy; NULL: it cannot be divided, as it has one reading, or
 *         becomes one dead letter as a whole
 */
struct incoming *incoming_split(struct incoming *in);

void queue_init(struct queue *queue);

/** Append a message, which changes hands. */
void queue_add(struct queue *queue, struct incoming *in);

/**
 * Move the first messages of `from` to `to`, which is empty: until they are so large
 * together.
 */
void queue_move(struct queue *from, struct queue *to, size_t most_bytes);

/** Keep the first n messages of a queue; the others go to `rest`, which is empty. */
void queue_cut(struct queue *queue, size_t n, struct queue *rest);

/** Put all messages of `before`, which becomes empty, before those of `queue`. */
void queue_prepend(struct queue *queue, struct queue *before);

/**
 * Bring the messages of each stream together, in the order they came; the plain ones
 * stand last. So a stream is looked up once, and its publisher gets one answer.
 */
void queue_group(struct queue *queue);

/** Free the plain messages in it: the broker will send them again. */
void queue_forget_plain(struct queue *queue);

/** @return 0 or -ENOMEM */
int results_add(struct results *results, const struct result *result);

#endif
