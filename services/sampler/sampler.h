/* The sampler: reads its sensors on time and keeps what is read until it is accepted. */
#ifndef SAMPLER_SAMPLER_H
#define SAMPLER_SAMPLER_H

#include <stdint.h>

#include "service.h"

struct sampler_config {
	struct dp_service_config service;
	const char *mqtt_url;
	const char *sensors;
	const char *outputs;
	const char *board; /**< "": found by its chips */
	const char *boards_dir;
	const char *ledger;
	const char *clock_trust;
	int64_t period_ms;
	int64_t ring_size;
	int64_t window;
};

struct sampler;

/**
 * Open the sensors and start.
 * @param exit_code  set on failure
 * @return NULL on failure, which is logged; what was opened is being closed
 */
struct sampler *sampler_start(
	struct dp_service *service, const struct sampler_config *config, int *exit_code);

/** As dp_service_run() wants it. */
void sampler_stop(void *sampler);
const char *sampler_health(void *sampler);

/** After the loop has ended. */
void sampler_destroy(struct sampler *sampler);

/**
 * `--board [NAME]` and `--probe`, with the settings at hand.
 * @return the exit code, or -1: neither of them
 */
int sampler_tool(int argc, char **argv, const void *config);

/** Check SENSORS, OUTPUTS and BOARD; logs. @return 0 or -EINVAL */
int sampler_check(const void *config);

#endif
