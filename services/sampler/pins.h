/* Which pin belongs to whom: found by the board's file, given to one user only. */
#ifndef SAMPLER_PINS_H
#define SAMPLER_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include "board.h"
#include "gpio.h"

#define PINS_TAKEN_MAX 64

struct pins {
	const struct board *board; /**< NULL: only raw pins are known */
	struct {
		struct gpio_place place;
		const char *user;
	} taken[PINS_TAKEN_MAX];
	size_t n;
};

/**
 * Take a pin. Logs a warning when the board advises against it.
 * @param user   a sensor's or output's name, which outlives the pins
 * @param text   `7`, `J8:7`, `GPIO4`, `PA6` or `chip-label:line`
 * @param edges  it must be able to report edges
 * @return 0; -EINVAL with `why`: as board_resolve(), or another user has it
 */
int pins_take(struct pins *pins, const char *user, const char *text, bool edges,
	struct gpio_place *place, char *why, size_t why_size);

#endif
