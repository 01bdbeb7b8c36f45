/*
 * What was sampled and is not accepted yet: a bounded ring, indexed by sequence
 * number. When it is full the oldest go. Pure; one thread at a time.
 */
#ifndef SAMPLER_RING_H
#define SAMPLER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

enum ring_state { RING_WAITING, RING_IN_FLIGHT, RING_ACCEPTED };

struct ring_item {
	char *json; /**< the payload, owned by the ring */
	uint32_t len;
	uint16_t sensor; /**< index, for the topic */
	uint8_t state;	 /**< enum ring_state */
	uint8_t clock;	 /**< enum dp_clock_mark */
	int64_t boottime_ns;
};

struct ring {
	struct ring_item *items; /**< of sequence number s at [s % size] */
	size_t size;
	uint64_t low;	 /**< oldest not accepted; == next when there is none */
	uint64_t next;	 /**< the number the next reading gets; from 1 */
	uint64_t cursor; /**< where to look for the next one to send */
	uint64_t in_flight;
	bool is_short; /**< of room: see ring_is_short() */
};

/** @return 0 or -ENOMEM */
int ring_init(struct ring *ring, size_t size);
void ring_finish(struct ring *ring);

/**
 * Add a reading; item->state is ignored, item->json changes hands.
 * @return the number of readings dropped to make room: 0, or 1, which was ring->low
 */
unsigned ring_push(struct ring *ring, const struct ring_item *item);

/** The next reading to send, or NULL; *seq is its number. It is in flight from now on. */
const struct ring_item *ring_send(struct ring *ring, uint64_t *seq);

/** The oldest that is not accepted, which is number ring->low; NULL when there is none. */
const struct ring_item *ring_oldest(const struct ring *ring);

/** What the last ring_send() handed out could not be sent: it waits again. */
void ring_unsend(struct ring *ring, uint64_t seq);

/** These are accepted and freed; what the ring does not hold is ignored. @return how many
 */
uint64_t ring_accept(struct ring *ring, uint64_t first, uint64_t count);

/**
 * The first run of readings at or above `from` that are not accepted.
 * @return how many follow *first; 0 when there is none
 */
uint64_t ring_unaccepted(const struct ring *ring, uint64_t from, uint64_t *first);

/**
 * Whether answers are wanted soon: more than half of the room is taken, and after that
 * until only a quarter is.
 * @param room  readings; at least 1
 */
bool ring_is_short(struct ring *ring, uint64_t room);

/** Everything in flight waits again. */
void ring_rewind(struct ring *ring);

#endif
