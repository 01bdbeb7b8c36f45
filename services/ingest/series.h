/*
 * Which rows of `sensor` a topic and a name are, and which column of which row a quantity
 * is: remembered, so that a reading costs no query. Rows of these tables are never
 * deleted and never change.
 *
 * A row of `sensor` is one part of a sensor and has eight columns. Temperature (Cel) and
 * humidity (%RH) stand in the first two of the first part, which are kept free for them;
 * the first two of the other parts stay empty. So six columns of each part are for any
 * quantity, and when all are taken the sensor gets another part, until it has
 * SERIES_PARTS. A reading is stored as one row for each part in which it has a value.
 */
#ifndef INGEST_SERIES_H
#define INGEST_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reading.h"
#include "topic.h"

#define SERIES_COLUMNS 8
#define SERIES_RESERVED 2 /**< of them for temperature and humidity */
#define SERIES_PARTS 32	  /**< of a sensor at most */
#define SERIES_MAX 50000  /**< more are not remembered for long */

/** A quantity and its unit; sensors share them. */
struct channel {
	char quantity[DP_NAME_MAX + 1];
	char unit[DP_UNIT_MAX + 1];
};

/** A part of a sensor. The first part begins the list of all of them. */
struct series {
	int64_t sensor;	     /**< the id of its row */
	struct series *next; /**< the sensor's next part, or NULL */
	uint32_t hash;
	uint32_t part;			  /**< as in the row; ascending */
	uint32_t columns[SERIES_COLUMNS]; /**< 1 + the channel's index; 0: free */
	uint32_t name_at, name_len;	  /**< in the text, behind the topic */
	char topic[];			  /**< empty but in the first part */
};

/** Where the values of a reading go. */
struct place {
	unsigned n; /**< rows that it takes; 0: something has to be made first */
	const struct series *parts[DP_READING_VALUES];		   /**< of each row */
	uint8_t row[DP_READING_VALUES], column[DP_READING_VALUES]; /**< of each value */
};

struct series_cache {
	struct series **slots; /**< a power of two; open addressing */
	size_t size, n;
	size_t parts;	     /**< of all sensors together */
	struct series *last; /**< that was found: a batch asks for it again and again */
	struct channel *channels;
	size_t n_channels, channels_size;
};

/** @return the first part, or NULL when the sensor is not remembered */
struct series *series_find(
	struct series_cache *cache, const char *topic, struct dp_slice name);

/** Remember a sensor's first part; it has no columns yet. @return NULL when out of memory
 */
struct series *series_add(struct series_cache *cache, const char *topic,
	struct dp_slice name, uint32_t part, int64_t sensor);

/** Remember another part, behind those it has. @return NULL when out of memory */
struct series *series_add_part(
	struct series_cache *cache, struct series *first, uint32_t part, int64_t sensor);

/** Note the id of a part's row, which was made meanwhile. */
void series_set_sensor(struct series *part, int64_t sensor);

/** @return the part of this number, or NULL when it is not remembered */
struct series *series_part(struct series *first, uint32_t part);

/** The number of a part that would come next. */
uint32_t series_next_part(const struct series *first);

/** Remember what a column of a part is. @return 0 or -ENOMEM */
int series_set_column(struct series_cache *cache, struct series *part, int column,
	const struct dp_value *value);

/** Whether a quantity and unit has a column in some part. */
bool series_has(const struct series_cache *cache, const struct series *first,
	const struct dp_value *value);

/**
 * Where a reading's values go. Either all of them find room or the reading is refused, so
 * that nothing need be made for one that is refused.
 * @param place  filled, or with n 0
 * @return 0; -ENOENT columns have to be made first, for which there is room; -E2BIG there
 *         is no room. Others may have made parts and columns that are not remembered: then
 *         there is less room than it seems, never more, and -E2BIG is right all the same
 */
int series_place(const struct series_cache *cache, const struct series *first,
	const struct dp_reading *reading, struct place *place);

/**
 * The column that a quantity gets which has none, when series_place() finds room.
 * @param part  the part that it is in; NULL: one more, that is to be added
 */
int series_free_column(
	struct series *first, const struct dp_value *value, struct series **part);

/** Forget everything: a transaction that made rows was rolled back. */
void series_clear(struct series_cache *cache);

#endif
