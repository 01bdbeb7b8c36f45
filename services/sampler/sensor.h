/* SENSORS taken apart, and the registry of drivers. */
#ifndef SAMPLER_SENSOR_H
#define SAMPLER_SENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "driver.h"
#include "spec.h"

#define SENSORS_MAX SPECS_MAX

/** `offset:temperature=-0.5`, `scale:temperature=1.02`: value * scale + offset. */
struct sensor_correction {
	const char *quantity;
	double scale, offset;
};

/** One `name=driver@argument[/period][,option=value...]`. */
struct sensor_spec {
	const struct spec *spec; /**< its argument is without the period */
	const struct driver *driver;
	int64_t period_ms; /**< 0: as PERIOD_MS says */
	struct sensor_correction corrections[DP_READING_VALUES];
	size_t n_corrections;
};

struct sensor_list {
	struct sensor_spec specs[SENSORS_MAX];
	size_t n;
	struct spec_list list; /* what the specs point into */
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

/** Correct the values in place, as the spec says. */
void sensor_correct(const struct sensor_spec *spec, struct driver_outcome *outcome);

/** The drivers, ended by NULL. */
extern const struct driver *const drivers[];

#endif
