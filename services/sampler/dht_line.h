/*
 * Reading a DHT11 or DHT22 on a GPIO line. The line is driven low, open drain, for the
 * start pulse, then listened to; the kernel notes the time of each falling edge in its
 * interrupt, and all of them are read and decoded once the sensor has finished. Nothing
 * waits and nothing is polled.
 */
#ifndef SAMPLER_DHT_LINE_H
#define SAMPLER_DHT_LINE_H

#include "dht_values.h"
#include "driver.h"

/** The options that the drivers of both models have. */
extern const char *const dht_line_options[];

/** As a driver's functions. */
int dht_line_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, enum dht_model model, char *why,
	size_t why_size);
void dht_line_read(void *state);
void dht_line_close(void *state);

#endif
