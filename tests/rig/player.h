/*
 * A DHT sensor on a simulated line. It sees the line as the kernel tells any program that
 * watches it: driven low for a start pulse, then listened to; and answers by pulling it.
 */
#ifndef RIG_PLAYER_H
#define RIG_PLAYER_H

#include <stddef.h>
#include <stdint.h>

#include "../unit/dht_line.h"
#include "sim.h"

#define PLAYER_ANSWERS_MAX 128

/** What has happened so far; written by the sensor, in memory that is shared with it. */
struct player {
	volatile unsigned asked;	/**< start pulses, long enough for it */
	volatile unsigned answered;	/**< answers that were played to their end */
	volatile int64_t least_gap_ns;	/**< between two start pulses, INT64_MAX at first */
	volatile int64_t least_low_ns;	/**< of a start pulse, INT64_MAX at first */
	volatile int64_t worst_late_ns; /**< how far behind an edge was at most */
};

/**
 * Connect a sensor: a process that ends with the scenario, or when the chip vanishes.
 * @param answers  to the first start pulse, the second, ...; the last one again and again;
 *                 times count from release_ns; without falls: it is silent
 */
const struct player *player_start(const struct sim_chip *chip, unsigned line,
	const struct dht_line *answers, size_t n);

/** Take away a pulse of an answer: the fall with that index and the rise before it. */
void player_omit(struct dht_line *answer, size_t fall);

#endif
