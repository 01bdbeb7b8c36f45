/*
 * A board: which pin of its header is which line of which GPIO chip. Boards are JSON files
 * (boards/); no C knows one.
 */
#ifndef SAMPLER_BOARD_H
#define SAMPLER_BOARD_H

#include <stdbool.h>
#include <stddef.h>

#include "gpio.h"

#define BOARD_NAMES_MAX 4
#define BOARD_WHY_MAX 256

enum board_type { BOARD_POWER, BOARD_GROUND, BOARD_GPIO };

/** Strings live with the board. */
struct board_pin {
	const char *connector;
	unsigned pin; /**< its number on the connector; 0: known by its names only */
	enum board_type type;
	const char *names[BOARD_NAMES_MAX]; /**< the first is the usual one */
	size_t n_names;
	/* Of a BOARD_GPIO: */
	const char *chip; /**< label */
	unsigned line;
	bool edges;	      /**< it can report them */
	const char *function; /**< what else it is used for (TXD, SDA1), or NULL */
	const char *avoid;    /**< why it should not be used, or NULL */
	const char *note;     /**< what to know, or NULL */
};

struct board;

/**
 * Parse a board's file.
 * @param id   what the file is called, without .json
 * @param why  on failure: what is wrong, BOARD_WHY_MAX bytes
 * @return 0; -EINVAL; -ENOMEM
 */
int board_parse(
	struct board **out, const char *id, const char *text, size_t len, char *why);

/** Harmless with NULL. */
void board_free(struct board *board);

/**
 * Choose a board.
 * @param folder  of the files
 * @param name    of a file, without .json; "": the board that has this machine's chips
 * @param list    gpio_list()
 * @param out     NULL when none was asked for and none fits: pins are then raw
 * @return 0; -EINVAL with `why`: there is none of that name, a file is malformed
 */
int board_choose(struct board **out, const char *folder, const char *name,
	size_t (*list)(void (*each)(void *data, const struct gpio_chip *chip), void *data),
	char *why);

const char *board_id(const struct board *board);
const char *board_name(const struct board *board);

/**
 * Why the chip may swallow short pulses, cured by which line of device tree source and
 * which overlay (a path below boards/).
 * @return false when nobody has said that it does
 */
bool board_filter(const struct board *board, const char **cure, const char **overlay);

/** All pins, a connector after the other. */
const struct board_pin *board_pins(const struct board *board, size_t *n);

/**
 * Where a pin is: `7` on the first connector, `J8:7`, by name `GPIO4`, `PA6`, or raw
 * `chip-label:line`.
 * @param board  may be NULL: only raw pins are known then
 * @param edges  it must be able to report edges
 * @param pin    what the board says of it, NULL for a raw one
 * @return 0; -EINVAL with `why`: power or ground, no such pin, no edges
 */
int board_resolve(const struct board *board, const char *text, bool edges,
	struct gpio_place *place, const struct board_pin **pin, char *why, size_t why_size);

#endif
