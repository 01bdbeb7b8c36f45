#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

const struct dp_option settings_options[] = {
	DP_SERVICE_OPTIONS(struct sampler_config, service),
	{.name = "MQTT_URL",
		.offset = offsetof(struct sampler_config, mqtt_url),
		.fallback = "mqtt://mosquitto:1883",
		.url = true,
		.check = dp_check_mqtt_url,
		.help = "the node's own broker"},
	{.name = "SENSORS",
		.offset = offsetof(struct sampler_config, sensors),
		.fallback = "",
		.help = "name=driver@argument[/period][,option=value], comma-separated; "
			"e.g. climate=dht22@7/2s"},
	{.name = "OUTPUTS",
		.offset = offsetof(struct sampler_config, outputs),
		.fallback = "",
		.help = "name=gpio@pin[,option=value], comma-separated; e.g. "
			"fan=gpio@11,initial=0,lost=0,lost-after=30s"},
	{.name = "BOARD",
		.offset = offsetof(struct sampler_config, board),
		.fallback = "",
		.help = "the board, for pins by number or name; found by its GPIO chips "
			"unless set (--board shows it)"},
	{.name = "BOARDS_DIR",
		.offset = offsetof(struct sampler_config, boards_dir),
		.fallback = "/usr/share/dewpoint/boards",
		.help = "folder of the boards' files"},
	{.name = "PERIOD_MS",
		.type = DP_INT,
		.offset = offsetof(struct sampler_config, period_ms),
		.fallback = "2000",
		.min = 1,
		.max = 86400000,
		.help = "milliseconds between two readings of a sensor"},
	{.name = "RING_SIZE",
		.type = DP_INT,
		.offset = offsetof(struct sampler_config, ring_size),
		.fallback = "10000",
		.min = 1,
		.max = 1000000,
		.help = "readings kept while the publisher does not answer"},
	{.name = "WINDOW",
		.type = DP_INT,
		.offset = offsetof(struct sampler_config, window),
		.fallback = "4096",
		.min = 1,
		.max = 65535,
		.help = "readings on their way to the publisher at once"},
	{.name = "CLOCK_TRUST",
		.offset = offsetof(struct sampler_config, clock_trust),
		.fallback = "auto",
		.check = dp_check_clock_trust,
		.help = "what makes a clock good: auto, kernel or always"},
	{.name = "LEDGER",
		.offset = offsetof(struct sampler_config, ledger),
		.help = "file for a record of what was sampled and accepted (a test aid)"},
};

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

int settings_check(const void *data)
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
