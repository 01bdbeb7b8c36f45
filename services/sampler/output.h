/* OUTPUTS taken apart, what drives an output, and the registry of what does. */
#ifndef SAMPLER_OUTPUT_H
#define SAMPLER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver.h"
#include "pins.h"
#include "spec.h"

#define OUTPUTS_MAX SPECS_MAX

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
	 * Take the device, at that level from the first instant on.
	 * @return the level read back, 0 or 1, or a negative errno
	 */
	int (*take)(void *state, enum output_level level);
	/** Set it. @return the level read back, or a negative errno: it is let go */
	int (*set)(void *state, bool value);
	/** @return the level as it is, or a negative errno: it is let go */
	int (*get)(void *state);
	/** What such a negative errno means; lives until the next call. */
	void (*trouble)(void *state, int err, struct driver_outcome *out);
	void (*close)(void *state);
};

/**
 * One `name=driver@argument[,option=value...]`, with what any output has: initial= when it
 * is taken (default 0), exit= when the sampler stops (0), and lost= (keep) when the
 * publisher has been away for lost-after= (30s); each 0, 1 or keep.
 */
struct output_spec {
	const struct spec *spec;
	const struct output_driver *driver;
	enum output_level initial, exit, lost;
	int64_t lost_after_ms;
};

struct output_list {
	struct output_spec specs[OUTPUTS_MAX];
	size_t n;
	struct spec_list list; /* what the specs point into */
};

/** As sensor_list_parse(); an empty text is no output. */
int output_list_parse(
	struct output_list *list, const char *text, char *why, size_t why_size);
void output_list_finish(struct output_list *list);

#endif
