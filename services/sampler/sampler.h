/*
 * The sampler: reads its sensors on time and keeps what is read until it is accepted. On
 * the loop's thread.
 */
#ifndef SAMPLER_SAMPLER_H
#define SAMPLER_SAMPLER_H

#include "service.h"
#include "settings.h"

struct sampler;

/**
 * Open the sensors and start.
 * @param exit_code  set on failure
 * @return NULL on failure, which is logged; what was opened is being closed
 */
struct sampler *sampler_start(
	struct dp_service *service, const struct sampler_config *config, int *exit_code);

/** As dp_service_run() wants them; health is NULL, or in words what is wrong. */
void sampler_stop(void *sampler);
const char *sampler_health(void *sampler);

/** After the loop has ended. */
void sampler_destroy(struct sampler *sampler);

/**
 * `--board [NAME]` and `--probe`, with the settings at hand.
 * @return the exit code, or -1: neither of them
 */
int sampler_tool(int argc, char **argv, const void *config);

#endif
