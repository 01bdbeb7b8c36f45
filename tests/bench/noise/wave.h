/*
 * Reads of simulated sensors, as a kernel reports them: when the start pulse was released
 * and when each falling edge was seen. Everything is drawn from one random state: the same
 * state draws the same read.
 */
#ifndef BENCH_WAVE_H
#define BENCH_WAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/dht_values.h"

#define WAVE_FALLS_MAX 66

enum wave_sensor { WAVE_DHT11, WAVE_AM2301, WAVE_AM2302, WAVE_SENSORS };

/** What happens to the edges on their way. Latency is exponential, of a given mean. */
enum wave_trouble {
	WAVE_LATE, /**< each is late by a latency of its own */
	WAVE_HELD, /**< half of a latency holds up the next edge as well */
	/**
	 * Late, and in a fifth of the reads one or two of the first edges are lost, in any
	 * read those that come while the one before still waits.
	 */
	WAVE_LOST,
	WAVE_TROUBLES,
};

struct wave {
	uint8_t bytes[5]; /**< what the sensor sends */
	int64_t release_ns;
	int64_t fall_ns[WAVE_FALLS_MAX];
	size_t count;
};

/** A name for people: DHT11, AM2301, AM2302. */
const char *wave_sensor_name(enum wave_sensor sensor);

enum dht_model wave_model(enum wave_sensor sensor);

/** @return false when there is no such trouble: late, held, lost */
bool wave_trouble_find(const char *name, enum wave_trouble *trouble);

/** A random state for read `n` of a series; any numbers do. */
uint64_t wave_seed(uint64_t seed, uint64_t series, uint64_t n);

/** A frame with values that the sensor may measure, in timing that such a sensor has. */
void wave_draw(struct wave *wave, enum wave_sensor sensor, uint64_t *random);

/** Make it what the kernel reports. */
void wave_trouble(
	struct wave *wave, enum wave_trouble trouble, double mean_us, uint64_t *random);

#endif
