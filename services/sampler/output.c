#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

#define LOST_AFTER_MS 30000
#define LOST_AFTER_MAX_MS 86400000

extern const struct output_driver gpio_out_driver;

static const struct output_driver *const drivers[] = {&gpio_out_driver};

#define DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

static const char *const common_options[] = {"initial", "exit", "lost", "lost-after", NULL};

static const char *driver_name(size_t i)
{
	return drivers[i]->name;
}

static int take_level(const struct spec *spec, const char *name, enum output_level *level,
	char *why, size_t why_size)
{
	static const char *const words[] = {"0", "1", "keep", NULL};
	unsigned index = *level;
	int err = spec_choice(spec, name, words, &index, why, why_size);
	*level = (enum output_level)index;
	return err;
}

static int take_options(struct output_spec *output, char *why, size_t why_size)
{
	const struct spec *spec = output->spec;
	const char *after = spec_option(spec, "lost-after");
	int err = take_level(spec, "initial", &output->initial, why, why_size);
	if (err == 0)
		err = take_level(spec, "exit", &output->exit, why, why_size);
	if (err == 0)
		err = take_level(spec, "lost", &output->lost, why, why_size);
	if (err == 0 && after != NULL &&
		(dp_parse_duration_ms(after, &output->lost_after_ms) != 0 ||
			output->lost_after_ms > LOST_AFTER_MAX_MS)) {
		snprintf(why, why_size, "lost-after=%.20s: a duration such as 30s", after);
		err = -EINVAL;
	}
	return err;
}

static int check_names(const struct output_spec *output, char *why, size_t why_size)
{
	const char *names[2 * SPEC_OPTIONS_MAX + 1] = {NULL};
	size_t n = 0;
	for (size_t i = 0; output->driver->options[i] != NULL && n < SPEC_OPTIONS_MAX; i++)
		names[n++] = output->driver->options[i];
	for (size_t i = 0; common_options[i] != NULL; i++)
		names[n++] = common_options[i];
	const struct spec *spec = output->spec;
	for (size_t i = 0; i < spec->n_options; i++) {
		if (!spec_names(names, spec->options[i].name))
			return spec_unknown_option(
				spec, spec->options[i].name, names, why, why_size);
	}
	return 0;
}

static int add_output(void *data, struct spec *spec, char *why, size_t why_size)
{
	struct output_list *list = data;
	struct output_spec *output = &list->specs[list->n];
	int driver = spec_driver(spec, driver_name, DRIVERS, why, why_size);
	if (driver < 0)
		return driver;
	*output = (struct output_spec){.spec = spec,
		.driver = drivers[driver],
		.initial = OUTPUT_OFF,
		.exit = OUTPUT_OFF,
		.lost = OUTPUT_KEEP,
		.lost_after_ms = LOST_AFTER_MS};
	int err = check_names(output, why, why_size);
	if (err == 0)
		err = take_options(output, why, why_size);
	list->n += err == 0;
	return err;
}

int output_list_parse(
	struct output_list *list, const char *text, char *why, size_t why_size)
{
	*list = (struct output_list){.n = 0};
	return spec_list_parse(&list->list, text, add_output, list, why, why_size);
}

void output_list_finish(struct output_list *list)
{
	spec_list_finish(&list->list);
	*list = (struct output_list){.n = 0};
}
