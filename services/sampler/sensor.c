#include "sensor.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "number.h"
#include "topic.h"

#define PERIOD_MAX_MS 86400000

extern const struct driver dht11_driver, dht22_driver, gpio_in_driver, iio_driver,
	replay_driver, sim_driver;

const struct driver *const drivers[] = {&dht11_driver, &dht22_driver, &gpio_in_driver,
	&iio_driver, &replay_driver, &sim_driver, NULL};

#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]) - 1)

void sensor_correct(const struct sensor_spec *spec, struct driver_outcome *outcome)
{
	for (size_t i = 0; i < spec->n_corrections; i++) {
		const struct sensor_correction *c = &spec->corrections[i];
		for (unsigned k = 0; k < outcome->n; k++) {
			struct dp_value *value = &outcome->values[k];
			if (dp_slice_equal(value->quantity, dp_slice(c->quantity)))
				/* Millionths: finer than any sensor, free of binary tails.
				 */
				value->value =
					round((value->value * c->scale + c->offset) * 1e6) /
					1e6;
		}
	}
}

static const char *driver_name(size_t i)
{
	return drivers[i]->name;
}

/*
 * A period behind the last slash: `7/2s`. Anything else there belongs to the argument, as
 * in a file's path.
 */
static int take_period(
	struct sensor_spec *sensor, char *argument, char *why, size_t why_size)
{
	char *slash = strrchr(argument, '/');
	int64_t period_ms;
	if (slash == NULL || slash == argument ||
		dp_parse_duration_ms(slash + 1, &period_ms) != 0)
		return 0;
	if (period_ms > PERIOD_MAX_MS) {
		snprintf(why, why_size, "%.60s: a period of at most a day", argument);
		return -EINVAL;
	}
	*slash = '\0';
	sensor->period_ms = period_ms;
	return 0;
}

/* The correction of a quantity, made when there is none yet; NULL: too many. */
static struct sensor_correction *correction(
	struct sensor_spec *sensor, const char *quantity)
{
	for (size_t i = 0; i < sensor->n_corrections; i++) {
		if (strcmp(sensor->corrections[i].quantity, quantity) == 0)
			return &sensor->corrections[i];
	}
	if (sensor->n_corrections == DP_READING_VALUES)
		return NULL;
	struct sensor_correction *c = &sensor->corrections[sensor->n_corrections++];
	*c = (struct sensor_correction){.quantity = quantity, .scale = 1};
	return c;
}

/* `offset:quantity` or `scale:quantity`. @return 1 it is neither; 0; -EINVAL */
static int add_correction(struct sensor_spec *sensor, const struct spec_option *option,
	char *why, size_t why_size)
{
	bool offset = strncmp(option->name, "offset:", 7) == 0;
	if (!offset && strncmp(option->name, "scale:", 6) != 0)
		return 1;
	const char *quantity = strchr(option->name, ':') + 1;
	struct sensor_correction *c = NULL;
	if (dp_name_valid(quantity, strlen(quantity)))
		c = correction(sensor, quantity);
	if (c != NULL &&
		dp_parse_double(option->value, offset ? &c->offset : &c->scale) == 0)
		return 0;
	snprintf(why, why_size,
		"%.40s=%.20s: a number, for a quantity such as temperature; at most %d "
		"quantities",
		option->name, option->value, DP_READING_VALUES);
	return -EINVAL;
}

static int add_sensor(void *data, struct spec *spec, char *why, size_t why_size)
{
	struct sensor_list *list = data;
	struct sensor_spec *sensor = &list->specs[list->n];
	int driver = spec_driver(spec, driver_name, DRIVERS, why, why_size);
	if (driver < 0)
		return driver;
	*sensor = (struct sensor_spec){.spec = spec, .driver = drivers[driver]};
	int err = take_period(sensor, spec->argument, why, why_size);
	for (size_t i = 0; i < spec->n_options && err == 0; i++) {
		err = add_correction(sensor, &spec->options[i], why, why_size);
		if (err != 1)
			continue;
		err = spec_names(sensor->driver->options, spec->options[i].name)
			      ? 0
			      : spec_unknown_option(spec, spec->options[i].name,
					sensor->driver->options, why, why_size);
	}
	list->n += err == 0;
	return err;
}

int sensor_list_parse(
	struct sensor_list *list, const char *text, char *why, size_t why_size)
{
	*list = (struct sensor_list){.n = 0};
	return spec_list_parse(&list->list, text, add_sensor, list, why, why_size);
}

void sensor_list_finish(struct sensor_list *list)
{
	spec_list_finish(&list->list);
	*list = (struct sensor_list){.n = 0};
}
