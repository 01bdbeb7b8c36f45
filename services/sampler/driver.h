/*
 * What a driver is: one file in drivers/ that defines a `const struct driver`, and one
 * line in sensor.c. Everything runs on the loop thread and nothing may wait there.
 */
#ifndef SAMPLER_DRIVER_H
#define SAMPLER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "reading.h"

struct pins;
struct spec;

/** What a read yielded. Its strings outlive the call of done(), not more. */
struct driver_outcome {
	const char *failure; /**< the cause in a word, or NULL; no value then counts */
	const char *advice;  /**< with a failure: what to do about it, or NULL */
	unsigned n;	     /**< 0 without a failure: nothing to say this time */
	uint32_t missed;     /**< readings that were due before this one and are lost */
	struct dp_value values[DP_READING_VALUES];
};

/** How a driver hands readings over; lives as long as what was opened with it. */
struct driver_read {
	/** The end of a read: call exactly once, during read() or later from the loop. */
	void (*done)(struct driver_read *read, const struct driver_outcome *outcome);
	/** A reading that nobody asked for, at any time. */
	void (*event)(struct driver_read *read, const struct driver_outcome *outcome);
};

/** What drivers may use. Outlives what is opened with it. */
struct driver_host {
	uv_loop_t *loop;
	uint32_t tag; /**< of this run of the sampler: 20 random bits */
	struct pins *pins;
};

/** What open() fills in. */
struct driver_instance {
	void *state;	     /**< the driver's own, passed to the others */
	int64_t interval_ms; /**< the sensor's least time between two reads; 0: none */
	unsigned retries;    /**< attempts after one that failed, within a period */
};

struct driver {
	const char *name;
	const char *argument;	    /**< what stands behind the @, for --help */
	const char *const *options; /**< names, ended by NULL */
	bool waits;		    /**< reads wait, each on a thread of the pool */
	/**
	 * Check the settings and get ready. A device that is not there now is no error: it
	 * may come, and each read says what is wrong.
	 * @param why  filled on failure: what is wrong with the spec
	 * @return 0, or -EINVAL which stops the service with exit code 78
	 */
	int (*open)(struct driver_instance *out, const struct driver_host *host,
		struct driver_read *read, const struct spec *spec, char *why,
		size_t why_size);
	/** Start a read; the last one has ended. */
	void (*read)(void *state);
	/** A read under way is dropped. The loop goes on until the handles are closed. */
	void (*close)(void *state);
};

#endif
