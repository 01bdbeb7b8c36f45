/*
 * Which row of `sensor` a topic and a name are, and which column a quantity is:
 * remembered, so that a reading costs no query. Rows of these tables are never
 * deleted and never change.
 */
#ifndef INGEST_SERIES_H
#define INGEST_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "reading.h"
#include "topic.h"

#define SERIES_COLUMNS 8
#define SERIES_MAX 50000 /**< more are not remembered for long */

/** A quantity and its unit; sensors share them. */
struct channel {
	char quantity[DP_NAME_MAX + 1];
	char unit[DP_UNIT_MAX + 1];
};

struct series {
	int64_t sensor; /**< its id */
	uint32_t hash;
	uint32_t columns[SERIES_COLUMNS]; /**< 1 + the channel's index; 0: free */
	uint32_t name_at, name_len;	  /**< in the text, behind the topic */
	char topic[];
};

struct series_cache {
	struct series **slots; /**< a power of two; open addressing */
	size_t size, n;
	struct series *last; /**< that was found: a batch asks for it again and again */
	struct channel *channels;
	size_t n_channels, channels_size;
};

/** @return the series, or NULL when it is not remembered */
struct series *series_find(
	struct series_cache *cache, const char *topic, struct dp_slice name);

/** Remember one; it has no columns yet. @return NULL when out of memory */
struct series *series_add(struct series_cache *cache, const char *topic,
	struct dp_slice name, int64_t sensor);

/** The column of a quantity and unit, or -1 when it has none yet. */
int series_column(const struct series_cache *cache, const struct series *series,
	const struct dp_value *value);

/** Remember what a column is. @return 0 or -ENOMEM */
int series_set_column(struct series_cache *cache, struct series *series, int column,
	const char *quantity, const char *unit);

/**
 * The column a new quantity gets: temperature in Cel the first, humidity in %RH the
 * second, others the first that is free from the third on. @return -1 when all are taken
 */
int series_free_column(const struct series *series, const struct dp_value *value);

/** Forget everything: a transaction that made rows was rolled back. */
void series_clear(struct series_cache *cache);

#endif
