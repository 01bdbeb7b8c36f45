/*
 * Our own publishers' SenML, read without a document tree: exactly the form that
 * dp_reading_encode() writes. dp_senml_open() reads everything else. Readings of one sensor
 * differ in their numbers only, so the text between the numbers is compared with what was
 * read before. Pure.
 */
#ifndef INGEST_SCAN_H
#define INGEST_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reading.h"

#define SCAN_SHAPES 8 /**< remembered in one batch; more sensors take longer */

/** What readings of one sensor have in common. */
struct shape {
	/** The text before the time, before each value, and behind the last. */
	struct dp_slice pieces[DP_READING_VALUES + 2];
	struct dp_reading reading; /**< the last one of it */
};

struct scan {
	const char *at, *end;
	unsigned n, last; /**< shapes; the one read last */
	bool begun;
	struct shape shapes[SCAN_SHAPES];
};

/** Begin to read a batch; the text outlives the scan. */
void scan_open(struct scan *scan, const char *json, size_t len);

/**
 * The next reading; it is scan->shapes[scan->last].reading, with its strings pointing
 * into the batch.
 * @param fresh  whether its names differ from what this shape was before
 * @return 1; 0 the end; -EBADMSG not of this form, which says nothing about the batch
 */
int scan_next(struct scan *scan, bool *fresh);

#endif
