#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static struct ring_item *at(const struct ring *ring, uint64_t seq)
{
	return &ring->items[seq % ring->size];
}

int ring_init(struct ring *ring, size_t size)
{
	*ring = (struct ring){.size = size, .low = 1, .next = 1, .cursor = 1};
	ring->items = calloc(size, sizeof(*ring->items));
	return ring->items == NULL ? -ENOMEM : 0;
}

void ring_finish(struct ring *ring)
{
	for (uint64_t seq = ring->low; seq < ring->next; seq++)
		free(at(ring, seq)->json);
	free(ring->items);
	*ring = (struct ring){.items = NULL};
}

static void let_go(struct ring *ring, struct ring_item *item)
{
	if (item->state == RING_IN_FLIGHT)
		ring->in_flight--;
	item->state = RING_ACCEPTED;
	free(item->json);
	item->json = NULL;
}

static void raise_low(struct ring *ring)
{
	while (ring->low < ring->next && at(ring, ring->low)->state == RING_ACCEPTED)
		ring->low++;
	if (ring->cursor < ring->low)
		ring->cursor = ring->low;
}

unsigned ring_push(struct ring *ring, const struct ring_item *item)
{
	unsigned dropped = 0;
	if (ring->next - ring->low == ring->size) {
		let_go(ring, at(ring, ring->low));
		raise_low(ring);
		dropped = 1;
	}
	struct ring_item *slot = at(ring, ring->next++);
	*slot = *item;
	slot->state = RING_WAITING;
	return dropped;
}

const struct ring_item *ring_send(struct ring *ring, uint64_t *seq)
{
	while (ring->cursor < ring->next) {
		struct ring_item *item = at(ring, ring->cursor++);
		if (item->state != RING_WAITING)
			continue;
		item->state = RING_IN_FLIGHT;
		ring->in_flight++;
		*seq = ring->cursor - 1;
		return item;
	}
	return NULL;
}

const struct ring_item *ring_oldest(const struct ring *ring)
{
	return ring->low < ring->next ? at(ring, ring->low) : NULL;
}

void ring_unsend(struct ring *ring, uint64_t seq)
{
	assert(at(ring, seq)->state == RING_IN_FLIGHT);
	at(ring, seq)->state = RING_WAITING;
	ring->in_flight--;
	ring->cursor = seq;
}

uint64_t ring_accept(struct ring *ring, uint64_t first, uint64_t count)
{
	uint64_t end = count > UINT64_MAX - first ? UINT64_MAX : first + count;
	uint64_t accepted = 0;
	if (first < ring->low)
		first = ring->low;
	if (end > ring->next)
		end = ring->next;
	for (uint64_t seq = first; seq < end; seq++) {
		if (at(ring, seq)->state == RING_ACCEPTED)
			continue;
		let_go(ring, at(ring, seq));
		accepted++;
	}
	raise_low(ring);
	return accepted;
}

uint64_t ring_unaccepted(const struct ring *ring, uint64_t from, uint64_t *first)
{
	uint64_t seq = from > ring->low ? from : ring->low;
	while (seq < ring->next && at(ring, seq)->state == RING_ACCEPTED)
		seq++;
	*first = seq;
	while (seq < ring->next && at(ring, seq)->state != RING_ACCEPTED)
		seq++;
	return seq - *first;
}

bool ring_is_short(struct ring *ring, uint64_t room)
{
	uint64_t taken = ring->next - ring->low;
	uint64_t quarter = room >= 4 ? room / 4 : 1;
	ring->is_short = taken > room / 2 || (ring->is_short && taken > quarter);
	return ring->is_short;
}

void ring_rewind(struct ring *ring)
{
	for (uint64_t seq = ring->low; seq < ring->cursor; seq++) {
		if (at(ring, seq)->state == RING_IN_FLIGHT)
			at(ring, seq)->state = RING_WAITING;
	}
	ring->in_flight = 0;
	ring->cursor = ring->low;
}
