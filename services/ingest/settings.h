/* The settings of ingest, and what its programs do: each has a main.c that names a store.
 */
#ifndef INGEST_SETTINGS_H
#define INGEST_SETTINGS_H

#include "sink.h"

/** Load the settings, run until a signal comes. @return the exit code */
int ingest_main(const struct sink_kind *kind, int argc, char **argv);

#endif
