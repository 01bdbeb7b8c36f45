#include "gpio_failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int err;
	const char *cause, *advice;
} failures[] = {
	{-ENODEV, "no-chip",
		"the GPIO chip is not there; is its device passed on to the container?"},
	{-ENXIO, "no-line", "the chip has no such line"},
	{-EACCES, "no-access",
		"the GPIO device may not be opened; add its group to the container "
		"(group_add)"},
	{-EPERM, "no-access",
		"the GPIO device may not be opened; add its group to the container "
		"(group_add)"},
	{-ENOTSUP, "no-edges",
		"the line cannot do this (report edges, or have that bias); take another "
		"pin"},
	{-EBUSY, "in-use", "something else uses the line"},
};

/* @return whether somebody is named */
static bool name_consumer(const struct gpio_place *place, char text[GPIO_ADVICE_SIZE])
{
	struct gpio_look look;
	if (gpio_look(place, &look) != 0 || look.consumer[0] == '\0')
		return false;
	snprintf(text, GPIO_ADVICE_SIZE, "line %u of %s is in use by %s", place->line,
		place->chip, look.consumer);
	return true;
}

void gpio_failure(const struct gpio_place *place, int err, char text[GPIO_ADVICE_SIZE],
	struct driver_outcome *out)
{
	*out = (struct driver_outcome){.failure = "gpio-error", .advice = strerror(-err)};
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (failures[i].err != err)
			continue;
		out->failure = failures[i].cause;
		out->advice = failures[i].advice;
		break;
	}
	if (err == -EBUSY && name_consumer(place, text))
		out->advice = text;
}
