/* What drives an output. */
#ifndef SAMPLER_OUTPUT_DRIVER_H
#define SAMPLER_OUTPUT_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "driver.h"
#include "pins.h"
#include "spec.h"

enum output_level { OUTPUT_OFF, OUTPUT_ON, OUTPUT_KEEP /**< leave it as it is */ };

/** One file in drivers/ and one line in output.c. Nothing in it may wait. */
struct output_driver {
	const char *name;
	const char *argument;	    /**< what stands behind the @ */
	const char *const *options; /**< names, ended by NULL */
	/** Check the settings. @return 0, or -EINVAL with `why` */
	int (*open)(void **state, struct pins *pins, const struct spec *spec, char *why,
		size_t why_size);
	/**
	 * Acquire the device, at that level from the first instant on.
	 * @return the level read back, 0 or 1, or a negative errno
	 */
	int (*acquire)(void *state, enum output_level level);
	/** Set it. @return the level read back, or a negative errno: it is let go */
	int (*set)(void *state, bool value);
	/** @return the level as it is, or a negative errno: it is let go */
	int (*get)(void *state);
	/** What such a negative errno means; lives until the next call. */
	void (*failure)(void *state, int err, struct driver_outcome *out);
	void (*close)(void *state);
};

#endif
