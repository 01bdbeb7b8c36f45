#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "decode_tool.h"
#include "sampler.h"
#include "service.h"

static const struct dp_option options[] = {
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

static int command(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "--decode") == 0)
		return decode_tool(argc == 3 ? argv[2] : "", stdin, stdout);
	return -1;
}

static const struct dp_service_info info = {
	.name = "sampler",
	.summary = "reads sensors and hands their readings to the node's publisher",
	.usage = "       sampler --probe\n"
		 "           list the GPIO chips and read each of the SENSORS once\n"
		 "       sampler --board [NAME]\n"
		 "           show the header of this board, or of that one\n"
		 "       sampler --decode MODEL < capture.csv\n"
		 "           decode a logic analyser's capture of a DHT11 or DHT22\n",
	.table = {options, sizeof(options) / sizeof(options[0])},
	.check = sampler_check,
	.command = command,
	.tool = sampler_tool,
};

int main(int argc, char **argv)
{
	struct sampler_config config = {.sensors = NULL};
	struct dp_service service;
	int code = dp_service_init(&service, &info, &config, argc, argv);
	if (code >= 0)
		return code;
	struct sampler *sampler = sampler_start(&service, &config, &code);
	if (sampler == NULL)
		return code;
	code = dp_service_run(&service, sampler_stop, sampler_health, sampler);
	sampler_destroy(sampler);
	return code;
}
