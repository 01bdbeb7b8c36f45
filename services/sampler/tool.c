/* `--board` and `--probe`: what a maker asks before the sampler runs. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board_print.h"
#include "probe.h"
#include "sampler.h"
#include "settings.h"

static int show_board(const struct settings *settings)
{
	if (settings->board == NULL) {
		dp_config_reject("BOARD", "",
			"a board's name: none is known that has this machine's GPIO chips");
		return DP_EX_CONFIG;
	}
	board_print(settings->board, gpio_look, stdout);
	return EXIT_SUCCESS;
}

int sampler_tool(int argc, char **argv, const void *data)
{
	struct sampler_config config = *(const struct sampler_config *)data;
	struct settings settings;
	bool header = strcmp(argv[1], "--board") == 0;
	if ((!header || argc > 3) && (argc != 2 || strcmp(argv[1], "--probe") != 0))
		return -1;
	if (argc == 3)
		config.board = argv[2];
	int code = DP_EX_CONFIG;
	if (settings_load(&settings, &config) == 0)
		code = header ? show_board(&settings) : probe(&settings, stdout);
	settings_finish(&settings);
	return code;
}
