/* A board's header as a picture in text. */
#ifndef SAMPLER_BOARD_PRINT_H
#define SAMPLER_BOARD_PRINT_H

#include <stdio.h>

#include "board.h"

/**
 * Print the pins as they lie on the board, what each is and who uses it now.
 * @param look  gpio_look()
 */
void board_print(const struct board *board,
	int (*look)(const struct gpio_place *place, struct gpio_look *out), FILE *out);

#endif
