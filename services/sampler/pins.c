#include "pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

static const char *user_of(const struct pins *pins, const struct gpio_place *place)
{
	for (size_t i = 0; i < pins->n; i++) {
		if (pins->taken[i].place.line == place->line &&
			strcmp(pins->taken[i].place.chip, place->chip) == 0)
			return pins->taken[i].user;
	}
	return NULL;
}

int pins_take(struct pins *pins, const char *user, const char *text, bool edges,
	struct gpio_place *place, char *why, size_t why_size)
{
	const struct board_pin *pin;
	int err = board_resolve(pins->board, text, edges, place, &pin, why, why_size);
	if (err != 0)
		return err;
	const char *other = user_of(pins, place);
	if (other != NULL || pins->n == PINS_TAKEN_MAX) {
		snprintf(why, why_size, "%s wants pin %.40s, which %s has", user, text,
			other != NULL ? other : "nobody may have: there are too many");
		return -EINVAL;
	}
	pins->taken[pins->n].place = *place;
	pins->taken[pins->n++].user = user;
	if (pin != NULL && pin->avoid != NULL)
		dp_log(DP_LOG_WARN, "this pin should not be used",
			"user=%s pin=%s reason=\"%s\"", user, text, pin->avoid);
	return 0;
}
