/*
 * The sensors at work: each read on time by its driver, none waiting for another. On the
 * loop's thread.
 */
#ifndef SAMPLER_SENSORS_H
#define SAMPLER_SENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "driver.h"
#include "pace.h"
#include "sensor.h"

struct sensors;

/* The read is first: the driver hands it back. */
struct sensor {
	struct driver_read read;
	struct sensors *all;
	const struct sensor_spec *spec;
	struct driver_instance instance;
	struct pace pace;
	uv_timer_t timer;
	unsigned failures; /* in a row */
	bool available;
};

struct sensors_options {
	const struct sensor_list *list;
	struct driver_host host;
	int64_t period_ms; /**< of a sensor that has none of its own */
	/**
	 * @param sensor  its index in the list
	 * @return 0, or -EINVAL: it cannot be sent, which is a failure like any other
	 */
	int (*reading)(void *data, unsigned sensor, const struct driver_outcome *outcome);
	/** A sensor can be read now, or cannot any more. */
	void (*available)(void *data, unsigned sensor, bool available);
	void *data;
};

struct sensors {
	struct sensors_options options;
	struct sensor at[SENSORS_MAX];
	size_t n;	 /* opened */
	uint64_t failed; /**< reads, and readings that were missed */
};

/**
 * Open them all and begin: each is read within a second, then by its period. The struct is
 * zeroed by the caller, and large.
 * @param why  on failure: of which sensor what is wrong
 * @return 0; -EINVAL: sensors_close() those that were opened
 */
int sensors_open(struct sensors *sensors, const struct sensors_options *options, char *why,
	size_t why_size);

/** No more readings. The loop goes on until the handles are closed. */
void sensors_close(struct sensors *sensors);

#endif
