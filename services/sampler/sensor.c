#include "sensor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct driver replay_driver, sim_driver;

const struct driver *const drivers[] = {&replay_driver, &sim_driver, NULL};

const char *sensor_option(const struct sensor_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_options; i++) {
		if (strcmp(spec->options[i].name, name) == 0)
			return spec->options[i].value;
	}
	return NULL;
}

static const struct driver *find_driver(const char *name)
{
	for (size_t i = 0; drivers[i] != NULL; i++) {
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	}
	return NULL;
}

static int unknown_driver(const char *name, char *why, size_t why_size)
{
	size_t len = (size_t)snprintf(
		why, why_size, "there is no driver %.40s, there are:", name);
	for (size_t i = 0; drivers[i] != NULL && len < why_size; i++)
		len += (size_t)snprintf(why + len, why_size - len, " %s", drivers[i]->name);
	return -EINVAL;
}

/* `name=driver@argument`: token is cut at = and @. */
static int add_sensor(struct sensor_list *list, char *token, char *why, size_t why_size)
{
	char *equals = strchr(token, '=');
	char *at = equals == NULL ? NULL : strchr(equals, '@');
	if (at == NULL || at[1] == '\0') {
		snprintf(why, why_size, "%.60s is not name=driver@argument", token);
		return -EINVAL;
	}
	if (list->n == SENSORS_MAX) {
		snprintf(why, why_size, "at most %d sensors", SENSORS_MAX);
		return -EINVAL;
	}
	*equals = '\0';
	*at = '\0';
	if (!dp_name_valid(token, strlen(token))) {
		snprintf(why, why_size, "%.60s is no name: %s", token,
			"1 to 64 of A-Z a-z 0-9 - . _, beginning with a letter or digit");
		return -EINVAL;
	}
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->specs[i].name, token) == 0) {
			snprintf(why, why_size, "the name %s comes twice", token);
			return -EINVAL;
		}
	}
	const struct driver *driver = find_driver(equals + 1);
	if (driver == NULL)
		return unknown_driver(equals + 1, why, why_size);
	list->specs[list->n++] =
		(struct sensor_spec){.name = token, .driver = driver, .argument = at + 1};
	return 0;
}

/* `option=value`, of the sensor before it. */
static int add_option(struct sensor_list *list, char *token, char *why, size_t why_size)
{
	struct sensor_spec *spec = list->n > 0 ? &list->specs[list->n - 1] : NULL;
	char *equals = strchr(token, '=');
	if (spec == NULL || equals == NULL) {
		snprintf(why, why_size,
			"%.60s is neither name=driver@argument nor option=value", token);
		return -EINVAL;
	}
	*equals = '\0';
	size_t i = 0;
	while (spec->driver->options[i] != NULL &&
		strcmp(spec->driver->options[i], token) != 0)
		i++;
	if (spec->driver->options[i] == NULL || spec->n_options == SENSOR_OPTIONS_MAX) {
		size_t len = (size_t)snprintf(why, why_size,
			"driver %s has no option %.40s, it has:", spec->driver->name,
			token);
		for (i = 0; spec->driver->options[i] != NULL && len < why_size; i++)
			len += (size_t)snprintf(
				why + len, why_size - len, " %s", spec->driver->options[i]);
		return -EINVAL;
	}
	spec->options[spec->n_options++] = (struct sensor_option){token, equals + 1};
	return 0;
}

int sensor_list_parse(
	struct sensor_list *list, const char *text, char *why, size_t why_size)
{
	*list = (struct sensor_list){.text = strdup(text)};
	if (list->text == NULL) {
		snprintf(why, why_size, "out of memory");
		return -EINVAL;
	}
	char *rest = list->text;
	char *token;
	while ((token = strsep(&rest, ",")) != NULL) {
		/* An option's value may not hold an @: that is what tells them apart. */
		int err = strchr(token, '@') != NULL
				  ? add_sensor(list, token, why, why_size)
				  : add_option(list, token, why, why_size);
		if (err != 0)
			return err;
	}
	return 0;
}

void sensor_list_finish(struct sensor_list *list)
{
	free(list->text);
	*list = (struct sensor_list){.text = NULL};
}
