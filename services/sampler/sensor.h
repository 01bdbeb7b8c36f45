/*
 * SENSORS taken apart, and the drivers there are. A driver is one file in
 * drivers/ that defines a `const struct driver`, and one line in sensor.c.
 */
#ifndef SAMPLER_SENSOR_H
#define SAMPLER_SENSOR_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "reading.h"
#include "topic.h"

#define SENSORS_MAX 32
#define SENSOR_OPTIONS_MAX 8

struct sensor_option {
	const char *name;
	const char *value;
};

/** One `name=driver@argument[,option=value...]`. Strings live with the list. */
struct sensor_spec {
	const char *name;
	const struct driver *driver;
	const char *argument;
	struct sensor_option options[SENSOR_OPTIONS_MAX];
	size_t n_options;
};

struct sensor_list {
	struct sensor_spec specs[SENSORS_MAX];
	size_t n;
	char *text; /* what the strings point into */
};

/** What a read yielded. */
struct driver_outcome {
	const char *failure; /**< the cause in a word, or NULL; nothing else then counts */
	unsigned n;	     /**< 0 without a failure: nothing to say this time */
	struct dp_value values[DP_READING_VALUES];
};

/** One read under way; the sampler owns it. */
struct driver_read {
	/** Call exactly once, during read() or later from the loop. */
	void (*done)(struct driver_read *read, const struct driver_outcome *outcome);
};

struct driver {
	const char *name;
	const char *argument;	    /**< what stands behind the @, for --help */
	const char *const *options; /**< names, ended by NULL */
	/**
	 * @param state  the driver's own, passed to the others
	 * @param tag    of this run of the sampler: 20 random bits
	 * @param why    filled on failure: what is wrong with the spec
	 * @return 0, or -EINVAL which stops the service with exit code 78
	 */
	int (*open)(void **state, uv_loop_t *loop, const struct sensor_spec *spec,
		uint32_t tag, char *why, size_t why_size);
	void (*read)(void *state, struct driver_read *read);
	void (*close)(void *state);
};

/**
 * Take SENSORS apart. Names, drivers and option names are checked here, arguments
 * by the driver's open().
 * @param why  filled on failure: what is wrong, in words
 * @return 0; -EINVAL; free with sensor_list_finish() in either case
 */
int sensor_list_parse(
	struct sensor_list *list, const char *text, char *why, size_t why_size);
void sensor_list_finish(struct sensor_list *list);

/** An option's value, or NULL. */
const char *sensor_option(const struct sensor_spec *spec, const char *name);

/** The drivers, ended by NULL. */
extern const struct driver *const drivers[];

#endif
