#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

void settings_reject_sensors(const struct sampler_config *config, const char *why)
{
	dp_log(DP_LOG_ERROR, "bad setting",
		"name=SENSORS value=\"%s\" allowed=\"name=driver@argument[/period]"
		"[,option=value], comma-separated; e.g. climate=dht22@7/2s\" reason=\"%s\"",
		config->sensors, why);
}

void settings_reject_outputs(const struct sampler_config *config, const char *why)
{
	dp_log(DP_LOG_ERROR, "bad setting",
		"name=OUTPUTS value=\"%s\" allowed=\"name=gpio@pin[,option=value], "
		"comma-separated; e.g. fan=gpio@11\" reason=\"%s\"",
		config->outputs, why);
}

/* state/<node>/<name> is one thing. */
static int check_names(const struct settings *settings, char *why, size_t why_size)
{
	for (size_t i = 0; i < settings->outputs.n; i++) {
		const char *name = settings->outputs.specs[i].spec->name;
		for (size_t k = 0; k < settings->sensors.n; k++) {
			if (strcmp(settings->sensors.specs[k].spec->name, name) != 0)
				continue;
			snprintf(why, why_size, "%s is the name of a sensor", name);
			return -EINVAL;
		}
	}
	return 0;
}

static int load_outputs(struct settings *settings, const struct sampler_config *config)
{
	char why[256];
	int err = output_list_parse(&settings->outputs, config->outputs, why, sizeof(why));
	if (err == 0)
		err = check_names(settings, why, sizeof(why));
	if (err != 0)
		settings_reject_outputs(config, why);
	return err;
}

int settings_load(struct settings *settings, const struct sampler_config *config)
{
	char why[256];
	*settings = (struct settings){.board = NULL};
	int err = sensor_list_parse(&settings->sensors, config->sensors, why, sizeof(why));
	if (err != 0) {
		settings_reject_sensors(config, why);
		return err;
	}
	err = load_outputs(settings, config);
	if (err != 0)
		return err;
	err = board_choose(
		&settings->board, config->boards_dir, config->board, gpio_list, why);
	if (err != 0)
		dp_config_reject("BOARD", config->board, why);
	return err;
}

void settings_finish(struct settings *settings)
{
	board_free(settings->board);
	sensor_list_finish(&settings->sensors);
	output_list_finish(&settings->outputs);
}

int sampler_check(const void *data)
{
	const struct sampler_config *config = data;
	struct settings settings;
	int err = settings_load(&settings, config);
	if (err == 0 && settings.sensors.n == 0 && settings.outputs.n == 0) {
		settings_reject_sensors(config, "there is none, and no OUTPUTS either");
		err = -EINVAL;
	}
	settings_finish(&settings);
	return err;
}
