/*
 * The topic of each QoS 1 publish that is not acknowledged yet, by its packet id, as a
 * PUBACK names nothing else. Pure. Bounded: the latest DP_IN_FLIGHT_SLOTS are remembered.
 */
#ifndef DP_IN_FLIGHT_H
#define DP_IN_FLIGHT_H

#include <stddef.h>

#define DP_IN_FLIGHT_SLOTS 1024

/** All zero is empty. */
struct dp_in_flight {
	struct dp_in_flight_slot {
		int mid;
		char *topic; /* owned */
	} *slots;
};

/** Remember a publish, also when another number has its slot. */
void dp_in_flight_sent(struct dp_in_flight *set, int mid, const char *topic);

/** @return its topic, which the caller frees; NULL: not known, or not any more */
char *dp_in_flight_answered(struct dp_in_flight *set, int mid);

/** Forget all: the connection is gone. */
void dp_in_flight_clear(struct dp_in_flight *set);

#endif
