/* What SENSORS, OUTPUTS and BOARD name; what is wrong with them is logged in a line. */
#ifndef SAMPLER_SETTINGS_H
#define SAMPLER_SETTINGS_H

#include "board.h"
#include "output.h"
#include "sampler.h"
#include "sensor.h"

struct settings {
	struct board *board; /**< NULL: not known */
	struct sensor_list sensors;
	struct output_list outputs;
};

/** @return 0 or -EINVAL, logged; settings_finish() in either case */
int settings_load(struct settings *settings, const struct sampler_config *config);
void settings_finish(struct settings *settings);

/** Log what is wrong with one of them. */
void settings_reject_sensors(const struct sampler_config *config, const char *why);
void settings_reject_outputs(const struct sampler_config *config, const char *why);

#endif
