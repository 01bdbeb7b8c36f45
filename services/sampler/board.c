#include "board.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "nearest.h"
#include "number.h"

#define PINS_MAX 128
#define LINE_MAX_NUMBER 4095

struct board {
	json_t *json; /* what the strings point into */
	char id[64];
	const char *name;
	struct board_pin pins[PINS_MAX];
	size_t n;
};

/* ---- the file ---- */

static int wrong(char *why, const char *what)
{
	snprintf(why, BOARD_WHY_MAX, "%s", what);
	return -EINVAL;
}

static int take_names(struct board_pin *pin, const json_t *names)
{
	size_t i;
	const json_t *name;
	json_array_foreach(names, i, name)
	{
		if (!json_is_string(name) || pin->n_names == BOARD_NAMES_MAX)
			return -EINVAL;
		pin->names[pin->n_names++] = json_string_value(name);
	}
	return pin->n_names > 0 ? 0 : -EINVAL;
}

static int take_gpio(struct board_pin *pin, const json_t *json)
{
	const json_t *line = json_object_get(json, "line");
	pin->chip = json_string_value(json_object_get(json, "chip"));
	pin->edges = json_is_true(json_object_get(json, "edges"));
	pin->avoid = json_string_value(json_object_get(json, "avoid"));
	pin->note = json_string_value(json_object_get(json, "note"));
	pin->function =
		json_string_value(json_array_get(json_object_get(json, "functions"), 0));
	if (pin->chip == NULL || strlen(pin->chip) >= GPIO_NAME_SIZE ||
		!json_is_integer(line) || json_integer_value(line) < 0 ||
		json_integer_value(line) > LINE_MAX_NUMBER)
		return -EINVAL;
	pin->line = (unsigned)json_integer_value(line);
	return 0;
}

static int take_pin(struct board *board, const char *connector, const json_t *json)
{
	if (board->n == PINS_MAX)
		return -EINVAL;
	struct board_pin *pin = &board->pins[board->n++];
	const char *type = json_string_value(json_object_get(json, "type"));
	*pin = (struct board_pin){.connector = connector,
		.pin = (unsigned)json_integer_value(json_object_get(json, "pin"))};
	int err = take_names(pin, json_object_get(json, "names"));
	if (err != 0 || type == NULL)
		return -EINVAL;
	if (strcmp(type, "power") == 0)
		pin->type = BOARD_POWER;
	else if (strcmp(type, "ground") == 0)
		pin->type = BOARD_GROUND;
	else if (strcmp(type, "gpio") == 0) {
		pin->type = BOARD_GPIO;
		return take_gpio(pin, json);
	} else
		return -EINVAL;
	return 0;
}

static int take_connectors(struct board *board, char *why)
{
	size_t i, k;
	const json_t *connector, *pin;
	json_array_foreach(json_object_get(board->json, "connectors"), i, connector)
	{
		const char *name = json_string_value(json_object_get(connector, "name"));
		if (name == NULL)
			return wrong(why, "a connector has no name");
		json_array_foreach(json_object_get(connector, "pins"), k, pin)
		{
			if (take_pin(board, name, pin) == 0)
				continue;
			snprintf(why, BOARD_WHY_MAX,
				"entry %zu of connector %.40s is malformed", k + 1, name);
			return -EINVAL;
		}
	}
	return board->n > 0 ? 0 : wrong(why, "it has no pins");
}

int board_parse(struct board **out, const char *id, const char *text, size_t len, char *why)
{
	json_error_t error;
	struct board *board = calloc(1, sizeof(*board));
	*out = NULL;
	if (board == NULL)
		return -ENOMEM;
	snprintf(board->id, sizeof(board->id), "%s", id);
	board->json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	int err = 0;
	if (board->json == NULL) {
		snprintf(why, BOARD_WHY_MAX, "line %d: %.160s", error.line, error.text);
		err = -EINVAL;
	} else {
		board->name = json_string_value(json_object_get(board->json, "name"));
		err = board->name == NULL ? wrong(why, "it has no name")
					  : take_connectors(board, why);
	}
	if (err == 0)
		*out = board;
	else
		board_free(board);
	return err;
}

void board_free(struct board *board)
{
	if (board == NULL)
		return;
	json_decref(board->json);
	free(board);
}

const char *board_id(const struct board *board)
{
	return board->id;
}

const char *board_name(const struct board *board)
{
	return board->name;
}

bool board_filter(const struct board *board, const char **cure, const char **overlay)
{
	const json_t *filter = json_object_get(board->json, "interrupt_filter");
	*cure = json_string_value(json_object_get(filter, "cure"));
	*overlay = json_string_value(json_object_get(filter, "overlay"));
	return *cure != NULL && *overlay != NULL;
}

const struct board_pin *board_pins(const struct board *board, size_t *n)
{
	*n = board->n;
	return board->pins;
}

/* ---- pins ---- */

/* `7` or `J8:7`. @return the pin, or NULL */
static const struct board_pin *by_position(const struct board *board, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *digits = colon != NULL ? colon + 1 : text;
	uint64_t number;
	if (dp_parse_u64(digits, &number) != 0)
		return NULL;
	for (size_t i = 0; i < board->n; i++) {
		const struct board_pin *pin = &board->pins[i];
		size_t len = strlen(pin->connector);
		bool here = colon != NULL ? (size_t)(colon - text) == len &&
						    strncmp(text, pin->connector, len) == 0
					  : pin->connector == board->pins[0].connector;
		if (here && pin->pin == number && number > 0)
			return pin;
	}
	return NULL;
}

static const struct board_pin *by_name(const struct board *board, const char *text)
{
	for (size_t i = 0; i < board->n; i++) {
		const struct board_pin *pin = &board->pins[i];
		for (size_t k = 0; k < pin->n_names && pin->type == BOARD_GPIO; k++) {
			if (strcasecmp(pin->names[k], text) == 0)
				return pin;
		}
	}
	return NULL;
}

static int raw(const char *text, struct gpio_place *place)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	uint64_t line;
	if (len == 0 || len >= sizeof(place->chip) || dp_parse_u64(colon + 1, &line) != 0 ||
		line > LINE_MAX_NUMBER)
		return -EINVAL;
	*place = (struct gpio_place){.line = (unsigned)line};
	memcpy(place->chip, text, len);
	return 0;
}

static int unknown(const struct board *board, const char *text, char *why, size_t why_size)
{
	const char *names[PINS_MAX * BOARD_NAMES_MAX] = {NULL};
	size_t n = 0;
	if (board == NULL) {
		snprintf(why, why_size,
			"%.40s is not chip-label:line, and the board is not known; set "
			"BOARD (sampler --board lists them)",
			text);
		return -EINVAL;
	}
	for (size_t i = 0; i < board->n; i++) {
		for (size_t k = 0; k < board->pins[i].n_names; k++) {
			if (board->pins[i].type == BOARD_GPIO)
				names[n++] = board->pins[i].names[k];
		}
	}
	const char *close = dp_nearest(text, names, n);
	snprintf(why, why_size, "%s has no pin %.40s%s%s%s", board->id, text,
		close != NULL ? "; did you mean " : "", close != NULL ? close : "",
		close != NULL ? "?" : "; sampler --board shows its pins");
	return -EINVAL;
}

int board_resolve(const struct board *board, const char *text, bool edges,
	struct gpio_place *place, const struct board_pin **out, char *why, size_t why_size)
{
	const struct board_pin *pin = board != NULL ? by_position(board, text) : NULL;
	*out = NULL;
	if (pin == NULL && board != NULL)
		pin = by_name(board, text);
	if (pin == NULL)
		return raw(text, place) == 0 ? 0 : unknown(board, text, why, why_size);
	if (pin->type != BOARD_GPIO) {
		snprintf(why, why_size, "pin %s of %s is %s, %s", text, board->id,
			pin->type == BOARD_POWER ? "power" : "ground", pin->names[0]);
		return -EINVAL;
	}
	if (edges && !pin->edges) {
		snprintf(why, why_size,
			"pin %s (%s) of %s cannot report edges; take another pin", text,
			pin->names[0], board->id);
		return -EINVAL;
	}
	*place = (struct gpio_place){.line = pin->line};
	memcpy(place->chip, pin->chip, strlen(pin->chip) + 1);
	*out = pin;
	return 0;
}
