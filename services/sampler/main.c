#include <stdio.h>
#include <string.h>

#include "decode_tool.h"
#include "sampler.h"
#include "service.h"
#include "settings.h"

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
	.table = {settings_options, SETTINGS_OPTIONS},
	.check = settings_check,
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
