/* What a negative errno of gpio.h means to a person. */
#ifndef SAMPLER_GPIO_FAILURE_H
#define SAMPLER_GPIO_FAILURE_H

#include "driver.h"
#include "gpio.h"

#define GPIO_ADVICE_SIZE 128

/**
 * The outcome of a read that failed for that reason, with the advice.
 * @param text  room for an advice that names somebody; lives as long as the outcome
 */
void gpio_failure(const struct gpio_place *place, int err, char text[GPIO_ADVICE_SIZE],
	struct driver_outcome *out);

#endif
