/*
 * The sender's window: which messages are in flight, when to send again, and how
 * many may be on their way at once. Pure: the caller passes the time.
 *
 * The caller owns the readings; a flight only says which of them a message
 * carries. A flight ends when all of it is answered, when its time is up or when
 * the connection is gone; in the last two cases the caller gets it back and sends
 * what is still unanswered of it again, cut differently if it likes.
 */
#ifndef PUBLISHER_DELIVERY_H
#define PUBLISHER_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the window is shared between. */
enum delivery_class { DELIVERY_LIVE, DELIVERY_BACKLOG, DELIVERY_CLASSES };

/** What a message weighs. */
struct flight_size {
	size_t text;  /**< bytes of its readings */
	size_t sent;  /**< bytes of its payload */
	bool deflate; /**< it was to be deflated, if that made it shorter */
	bool encoded; /**< it is */
};

struct flight {
	uint64_t owner;	 /**< the caller's handle of the stream */
	uint64_t first;	 /**< what of it is not answered yet */
	uint32_t count;	 /**< 0: the slot is free */
	uint64_t number; /**< of the message, ascending; for its correlation data */
	enum delivery_class class;
	int64_t sent_ms;
	uint32_t wait_ms; /**< how long its answer may take, as it says itself */
	int64_t deadline_ms;
	struct flight_size size;
};

struct delivery {
	struct flight *slots; /**< the caller's array, `max` long */
	unsigned max;	      /**< most messages in flight */
	unsigned window;      /**< how many may be in flight now, 1 to max */
	unsigned reserve;     /**< slots of the window a backlog may not take */
	unsigned in_flight[DELIVERY_CLASSES];
	bool answers; /**< the centre has answered since the connection, or the last loss */
	int64_t timeout_ms; /**< beyond a message's wait; doubles on each loss up to the
			       limit */
	int64_t timeout_base_ms, timeout_limit_ms;
	int64_t shrunk_ms; /**< a message sent before that says nothing new when it is lost
			    */
	uint64_t next_number;
	uint64_t random;
	uint64_t resent; /**< messages whose time was up, for statistics */
};

/**
 * @param slots    `max` slots that outlive the window
 * @param reserve  how many of them are kept for live messages, below max
 * @param seed     of the jitter
 */
void delivery_init(struct delivery *d, struct flight *slots, unsigned max, unsigned reserve,
	int64_t timeout_ms, int64_t timeout_limit_ms, uint64_t seed);

/** Whether a message of this class may leave now. */
bool delivery_may_send(const struct delivery *d, enum delivery_class class);

/**
 * Whether the answer to the next message of this class is wanted at once: half of what it
 * may have in flight is taken, or nobody knows whether the centre answers at all.
 */
bool delivery_presses(const struct delivery *d, enum delivery_class class);

/**
 * Note a message as sent; only when delivery_may_send().
 * @param wait_ms  how long its answer may take; its time is up some time after that
 * @return its flight, valid until the next call
 */
const struct flight *delivery_send(struct delivery *d, enum delivery_class class,
	uint64_t owner, uint64_t first, uint32_t count, int64_t now_ms, uint32_t wait_ms);

/**
 * These readings are answered: take them out of their flights. An answer that
 * covers the middle of a flight leaves it as it is; its time will be up.
 */
void delivery_answer(struct delivery *d, uint64_t owner, uint64_t first, uint64_t count);

/** What the message of that number, in flight, weighs. */
void delivery_sized(struct delivery *d, uint64_t number, const struct flight_size *size);

/**
 * Of the messages in flight whose text has no more bytes than limits[deflate], the one with
 * the largest payload; NULL: there is none.
 */
const struct flight *delivery_largest(const struct delivery *d, const size_t limits[2]);

/** Whether a message in flight that has one of these readings is encoded. */
bool delivery_any_encoded(
	const struct delivery *d, uint64_t owner, uint64_t first, uint64_t count);

/** The flight of that number; NULL: it is not in flight. */
const struct flight *delivery_find(const struct delivery *d, uint64_t number);

/** The flight of that number taken out, for an answer that names only the message. */
bool delivery_remove(struct delivery *d, uint64_t number, struct flight *out);

/** Take out one flight of that owner, which nobody will answer. Call until false. */
bool delivery_withdraw(struct delivery *d, uint64_t owner, struct flight *out);

/** Take out one flight of that owner whose answer may take time. Call until false. */
bool delivery_recall(struct delivery *d, uint64_t owner, struct flight *out);

/** Take out one flight whose time is up. Call until false. */
bool delivery_expire(struct delivery *d, int64_t now_ms, struct flight *out);

/** Take out any flight: after a disconnect, until false. The window starts small again. */
bool delivery_reset(struct delivery *d, struct flight *out);

/** When to call delivery_expire() next; INT64_MAX when nothing is in flight. */
int64_t delivery_deadline(const struct delivery *d);

/** Whether a reading is in flight, and the end of that flight (exclusive). */
bool delivery_in_flight(
	const struct delivery *d, uint64_t owner, uint64_t seq, uint64_t *end);

/** The first number at or above seq that begins a flight of this owner; UINT64_MAX none. */
uint64_t delivery_next_flight(const struct delivery *d, uint64_t owner, uint64_t seq);

#endif
