/*
 * `sampler --probe`, the first command on a new board: which chips there are, which board
 * it is, and whether the configured sensors answer.
 */
#ifndef SAMPLER_PROBE_H
#define SAMPLER_PROBE_H

#include <stdio.h>

#include "settings.h"

/**
 * Print the chips with their lines in use, the board and the outputs, which are not
 * touched; read every sensor once and print what it said.
 * @return the exit code: 0 when all is well, 1 when a sensor did not answer, 78 when a pin
 *         is wrong
 */
int probe(const struct settings *settings, FILE *out);

#endif
