/*
 * The sampler's settings: their table, and what SENSORS, OUTPUTS and BOARD name. What is
 * wrong with them is logged in a line.
 */
#ifndef SAMPLER_SETTINGS_H
#define SAMPLER_SETTINGS_H

#include <stdint.h>

#include "board.h"
#include "output.h"
#include "sensor.h"
#include "service.h"

#define SETTINGS_OPTIONS 18

extern const struct dp_option settings_options[SETTINGS_OPTIONS];

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

struct settings {
	struct board *board; /**< NULL: not known */
	struct sensor_list sensors;
	struct output_list outputs;
};

/** @return 0 or -EINVAL, logged; settings_finish() in either case */
int settings_load(struct settings *settings, const struct sampler_config *config);
void settings_finish(struct settings *settings);

/** As struct dp_service_info wants it: logs what is wrong. @return 0 or -EINVAL */
int settings_check(const void *config);

/** Log what is wrong with one of them. */
void settings_reject_sensors(const struct sampler_config *config, const char *why);
void settings_reject_outputs(const struct sampler_config *config, const char *why);

#endif
