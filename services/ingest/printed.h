/*
 * PRINT_READINGS: lines that are collected in a transaction and written after it. On the
 * thread of the store's transactions.
 */
#ifndef INGEST_PRINTED_H
#define INGEST_PRINTED_H

#include <stddef.h>

#include "reading.h"

/** All zero is empty. */
struct printed {
	char *at; /**< freed by its owner */
	size_t len, size;
};

/** Add a line. */
void printed_add(
	struct printed *printed, const char *topic, const struct dp_reading *reading);

/** Write all lines on stdout and forget them. */
void printed_flush(struct printed *printed);

#endif
