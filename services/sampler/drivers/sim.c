/*
 * sim@SEED: a sensor that is not there, for load and for tests. Its values say
 * which run and which reading they are, so that a row in the database can be
 * compared with what was sampled:
 *
 *   temperature = 15 + (n mod 10^7) / 10^6     n: the reading's number, from 1
 *   humidity    = 30 + run / 10^5 + (n div 10^7) / 1000
 *
 * `run` (0 to 99999) is mixed from the seed and the sampler's stream. With
 * count=N it falls silent after N readings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "number.h"
#include "sampler/driver.h"
#include "sampler/spec.h"

struct sim {
	struct driver_read *read;
	uint64_t n;
	uint64_t count; /* 0: no end */
	uint32_t run;
};

static int sim_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, char *why, size_t why_size)
{
	uint64_t seed;
	uint64_t count = 0;
	const char *text = spec_option(spec, "count");
	if (dp_parse_u64(spec->argument, &seed) != 0) {
		snprintf(why, why_size, "sim@%.40s: the seed is a whole number",
			spec->argument);
		return -EINVAL;
	}
	if (text != NULL && (dp_parse_u64(text, &count) != 0 || count == 0)) {
		snprintf(why, why_size, "count=%.40s: a whole number above 0", text);
		return -EINVAL;
	}
	struct sim *sim = calloc(1, sizeof(*sim));
	if (sim == NULL) {
		snprintf(why, why_size, "out of memory");
		return -EINVAL;
	}
	sim->count = count;
	sim->run = (uint32_t)((seed * 2654435761u + host->tag) % 100000);
	sim->read = read;
	out->state = sim;
	return 0;
}

static void sim_read(void *state)
{
	struct sim *sim = state;
	struct driver_outcome outcome = {.failure = NULL};
	if (sim->count == 0 || sim->n < sim->count) {
		sim->n++;
		/* Whole numbers of the last digit, so that the decimals are exact. */
		uint64_t low = sim->n % 10000000, high = sim->n / 10000000;
		double temperature = (double)(15000000 + low) / 1e6;
		double humidity = (double)(3000000 + sim->run + high * 100) / 1e5;
		outcome.n = 2;
		outcome.values[0] = (struct dp_value){
			dp_slice("temperature"), dp_slice("Cel"), temperature};
		outcome.values[1] =
			(struct dp_value){dp_slice("humidity"), dp_slice("%RH"), humidity};
	}
	sim->read->done(sim->read, &outcome);
}

static const char *const sim_options[] = {"count", NULL};

extern const struct driver sim_driver;
const struct driver sim_driver = {
	.name = "sim",
	.argument = "a whole number, the seed",
	.options = sim_options,
	.open = sim_open,
	.read = sim_read,
	.close = free,
};
