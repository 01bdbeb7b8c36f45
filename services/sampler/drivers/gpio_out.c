/*
 * gpio@PIN: a line that is driven: a relay, a lamp, a valve. active-low=1 swaps the levels,
 * open-drain=1 drives low only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "sampler/gpio.h"
#include "sampler/gpio_failure.h"
#include "sampler/output_driver.h"
#include "topic.h"

enum mode { MODE_OFF, MODE_ON, MODE_AS_IS, MODES };

struct gpio_out {
	struct gpio_place place;
	struct gpio_mode modes[MODES];
	struct gpio_line *line; /* NULL: not acquired */
	char name[DP_NAME_MAX + 10];
	char advice[GPIO_ADVICE_SIZE];
};

static void let_go(struct gpio_out *out)
{
	gpio_close(out->line);
	out->line = NULL;
}

static int gpio_out_get(void *state)
{
	struct gpio_out *out = state;
	int level = out->line != NULL ? gpio_value(out->line) : -ENODEV;
	if (level < 0)
		let_go(out);
	return level;
}

/* Read as it is, then driven at the same level. */
static int acquire_as_is(struct gpio_out *out)
{
	const struct gpio_mode modes[] = {
		out->modes[MODE_AS_IS], out->modes[MODE_OFF], out->modes[MODE_ON]};
	int err = gpio_open(&out->line, &out->place, out->name, modes, MODES);
	if (err != 0)
		return err;
	int level = gpio_value(out->line);
	return level < 0 ? level : gpio_change(out->line, level == 0 ? 1 : 2);
}

static int gpio_out_acquire(void *state, enum output_level level)
{
	struct gpio_out *out = state;
	let_go(out);
	int err =
		level == OUTPUT_KEEP
			? acquire_as_is(out)
			: gpio_open(&out->line, &out->place, out->name,
				  &out->modes[level == OUTPUT_ON ? MODE_ON : MODE_OFF], 1);
	if (err != 0) {
		let_go(out);
		return err;
	}
	return gpio_out_get(out);
}

static int gpio_out_set(void *state, bool value)
{
	struct gpio_out *out = state;
	int err = out->line != NULL ? gpio_set(out->line, value) : -ENODEV;
	if (err != 0) {
		let_go(out);
		return err;
	}
	return gpio_out_get(out);
}

static void gpio_out_failure(void *state, int err, struct driver_outcome *outcome)
{
	struct gpio_out *out = state;
	gpio_failure(&out->place, err, out->advice, outcome);
}

static int gpio_out_open(void **state, struct pins *pins, const struct spec *spec,
	char *why, size_t why_size)
{
	struct gpio_out *out = calloc(1, sizeof(*out));
	struct gpio_mode mode = {.bias = GPIO_BIAS_AS_IS};
	if (out == NULL)
		dp_log_out_of_memory("an output");
	snprintf(out->name, sizeof(out->name), "dewpoint-%s", spec->name);
	int err = spec_flag(spec, "active-low", &mode.active_low, why, why_size);
	if (err == 0)
		err = spec_flag(spec, "open-drain", &mode.open_drain, why, why_size);
	if (err == 0)
		err = pins_take(pins, spec->name, spec->argument, false, &out->place, why,
			why_size);
	if (err != 0) {
		free(out);
		return err;
	}
	out->modes[MODE_AS_IS] =
		(struct gpio_mode){.as_is = true, .active_low = mode.active_low};
	mode.output = true;
	out->modes[MODE_OFF] = mode;
	mode.value = true;
	out->modes[MODE_ON] = mode;
	*state = out;
	return 0;
}

static void gpio_out_close(void *state)
{
	struct gpio_out *out = state;
	let_go(out);
	free(out);
}

static const char *const gpio_out_options[] = {"active-low", "open-drain", NULL};

extern const struct output_driver gpio_out_driver;
const struct output_driver gpio_out_driver = {
	.name = "gpio",
	.argument = "a pin: 11, GPIO17, PA1 or chip-label:line",
	.options = gpio_out_options,
	.open = gpio_out_open,
	.acquire = gpio_out_acquire,
	.set = gpio_out_set,
	.get = gpio_out_get,
	.failure = gpio_out_failure,
	.close = gpio_out_close,
};
