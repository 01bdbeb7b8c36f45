/*
 * The settings of the pruner, and what its programs do: each has a main.c that names a
 * store.
 */
#ifndef PRUNER_SETTINGS_H
#define PRUNER_SETTINGS_H

#include "prune_ops.h"

/** Load the settings, run until a signal comes. @return the exit code */
int pruner_main(const struct prune_ops *ops, int argc, char **argv);

#endif
