#include "series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fnv.h"

#define OTHERS (SERIES_COLUMNS - SERIES_RESERVED) /* of a part, for any quantity */
/* The newest; what is not found there is kept twice. More than a sensor can have, so that
 * sensors of one kind share theirs. */
#define CHANNELS_SEARCHED 256

_Static_assert(CHANNELS_SEARCHED > SERIES_PARTS * SERIES_COLUMNS - 1,
	"a sensor's quantities would be kept again whenever they are read");

static uint32_t hash_key(const char *topic, struct dp_slice name)
{
	/* The NUL keeps ("a", "bc") apart from ("ab", "c"). */
	uint32_t hash = dp_fnv(DP_FNV_BASIS, topic, strlen(topic) + 1);
	return dp_fnv(hash, name.at, name.len);
}

static bool is(const struct series *series, const char *topic, struct dp_slice name)
{
	const char *own = series->topic + series->name_at;
	return dp_slice_equal((struct dp_slice){own, series->name_len}, name) &&
	       strcmp(series->topic, topic) == 0;
}

struct series *series_find(
	struct series_cache *cache, const char *topic, struct dp_slice name)
{
	if (cache->size == 0)
		return NULL;
	if (cache->last != NULL && is(cache->last, topic, name))
		return cache->last;
	uint32_t hash = hash_key(topic, name);
	for (size_t i = hash & (cache->size - 1); cache->slots[i] != NULL;
		i = (i + 1) & (cache->size - 1)) {
		struct series *series = cache->slots[i];
		if (series->hash == hash && is(series, topic, name)) {
			cache->last = series;
			return series;
		}
	}
	return NULL;
}

static void put(struct series_cache *cache, struct series *series)
{
	size_t i = series->hash & (cache->size - 1);
	while (cache->slots[i] != NULL)
		i = (i + 1) & (cache->size - 1);
	cache->slots[i] = series;
}

static int grow(struct series_cache *cache)
{
	if (cache->n * 2 < cache->size)
		return 0;
	struct series_cache larger = *cache;
	larger.size = cache->size == 0 ? 64 : cache->size * 2;
	larger.slots = calloc(larger.size, sizeof(struct series *));
	if (larger.slots == NULL)
		return -1;
	for (size_t i = 0; i < cache->size; i++) {
		if (cache->slots[i] != NULL)
			put(&larger, cache->slots[i]);
	}
	free(cache->slots);
	*cache = larger;
	return 0;
}

static struct series *make(
	struct series_cache *cache, size_t text, uint32_t part, int64_t sensor)
{
	struct series *series = calloc(1, sizeof(*series) + text);
	if (series == NULL)
		return NULL;
	series->sensor = sensor;
	series->part = part;
	cache->parts++;
	return series;
}

struct series *series_add(struct series_cache *cache, const char *topic,
	struct dp_slice name, uint32_t part, int64_t sensor)
{
	size_t topic_len = strlen(topic);
	if (grow(cache) != 0)
		return NULL;
	struct series *series = make(cache, topic_len + name.len + 2, part, sensor);
	if (series == NULL)
		return NULL;
	series->hash = hash_key(topic, name);
	series->name_at = (uint32_t)(topic_len + 1);
	series->name_len = (uint32_t)name.len;
	memcpy(series->topic, topic, topic_len);
	if (name.len > 0)
		memcpy(series->topic + series->name_at, name.at, name.len);
	put(cache, series);
	cache->n++;
	return series;
}

struct series *series_add_part(
	struct series_cache *cache, struct series *first, uint32_t part, int64_t sensor)
{
	struct series *last = first;
	while (last->next != NULL)
		last = last->next;
	last->next = make(cache, 1, part, sensor);
	return last->next;
}

void series_set_sensor(struct series *part, int64_t sensor)
{
	part->sensor = sensor;
}

struct series *series_part(struct series *first, uint32_t part)
{
	struct series *series = first;
	while (series != NULL && series->part != part)
		series = series->next;
	return series;
}

uint32_t series_next_part(const struct series *first)
{
	while (first->next != NULL)
		first = first->next;
	return first->part + 1;
}

/* Whether `text` is that slice; strlen() of each text would cost more. */
static bool same(const char *text, size_t size, struct dp_slice slice)
{
	return slice.len < size && text[slice.len] == '\0' &&
	       (slice.len == 0 || memcmp(text, slice.at, slice.len) == 0);
}

static bool is_channel(const struct channel *channel, const struct dp_value *value)
{
	return same(channel->quantity, sizeof(channel->quantity), value->quantity) &&
	       same(channel->unit, sizeof(channel->unit), value->unit);
}

/* @return the column and its part, or -1 */
static int column_of(const struct series_cache *cache, const struct series *first,
	const struct dp_value *value, const struct series **part)
{
	for (*part = first; *part != NULL; *part = (*part)->next) {
		for (int i = 0; i < SERIES_COLUMNS; i++) {
			uint32_t channel = (*part)->columns[i];
			if (channel != 0 &&
				is_channel(&cache->channels[channel - 1], value))
				return i;
		}
	}
	return -1;
}

bool series_has(const struct series_cache *cache, const struct series *first,
	const struct dp_value *value)
{
	const struct series *part;
	return column_of(cache, first, value, &part) >= 0;
}

static int add_channel(struct series_cache *cache, const struct dp_value *value)
{
	if (cache->n_channels == cache->channels_size) {
		size_t size = cache->channels_size == 0 ? 8 : 2 * cache->channels_size;
		struct channel *channels =
			realloc(cache->channels, size * sizeof(*channels));
		if (channels == NULL)
			return -ENOMEM;
		cache->channels = channels;
		cache->channels_size = size;
	}
	struct channel *channel = &cache->channels[cache->n_channels++];
	snprintf(channel->quantity, sizeof(channel->quantity), "%.*s",
		(int)value->quantity.len, value->quantity.at);
	snprintf(channel->unit, sizeof(channel->unit), "%.*s", (int)value->unit.len,
		value->unit.len > 0 ? value->unit.at : "");
	return 0;
}

int series_set_column(struct series_cache *cache, struct series *part, int column,
	const struct dp_value *value)
{
	size_t i = part->columns[column], searched = 0;
	/* Usual case: the column is known and read again. */
	if (i > 0 && is_channel(&cache->channels[i - 1], value))
		return 0;
	i = cache->n_channels;
	while (i > 0 && searched < CHANNELS_SEARCHED &&
		!is_channel(&cache->channels[i - 1], value)) {
		i--;
		searched++;
	}
	if (i == 0 || searched == CHANNELS_SEARCHED) {
		if (add_channel(cache, value) != 0)
			return -ENOMEM;
		i = cache->n_channels;
	}
	part->columns[column] = (uint32_t)i;
	return 0;
}

static int reserved_column(const struct dp_value *value)
{
	if (dp_slice_equal(value->quantity, dp_slice("temperature")) &&
		dp_slice_equal(value->unit, dp_slice("Cel")))
		return 0;
	if (dp_slice_equal(value->quantity, dp_slice("humidity")) &&
		dp_slice_equal(value->unit, dp_slice("%RH")))
		return 1;
	return -1;
}

/* How many quantities besides temperature and humidity still find a column. */
static unsigned room(const struct series *first)
{
	unsigned parts = 0, free_columns = 0;
	for (const struct series *part = first; part != NULL; part = part->next) {
		parts++;
		for (int i = SERIES_RESERVED; i < SERIES_COLUMNS; i++)
			free_columns += part->columns[i] == 0;
	}
	return parts < SERIES_PARTS ? free_columns + (SERIES_PARTS - parts) * OTHERS
				    : free_columns;
}

static uint8_t row_of(struct place *place, const struct series *part)
{
	unsigned row = 0;
	while (row < place->n && place->parts[row] != part)
		row++;
	if (row == place->n)
		place->parts[place->n++] = part;
	return (uint8_t)row;
}

int series_place(const struct series_cache *cache, const struct series *first,
	const struct dp_reading *reading, struct place *place)
{
	unsigned missing = 0, others = 0;
	place->n = 0;
	for (unsigned i = 0; i < reading->n; i++) {
		const struct dp_value *value = &reading->values[i];
		const struct series *part;
		int column = column_of(cache, first, value, &part);
		if (column < 0) {
			missing++;
			others += reserved_column(value) < 0;
			continue;
		}
		place->row[i] = row_of(place, part);
		place->column[i] = (uint8_t)column;
	}
	if (missing == 0)
		return 0;
	place->n = 0;
	return others > room(first) ? -E2BIG : -ENOENT;
}

int series_free_column(
	struct series *first, const struct dp_value *value, struct series **part)
{
	int reserved = reserved_column(value);
	*part = first;
	if (reserved >= 0)
		return reserved;
	for (; *part != NULL; *part = (*part)->next) {
		for (int i = SERIES_RESERVED; i < SERIES_COLUMNS; i++) {
			if ((*part)->columns[i] == 0)
				return i;
		}
	}
	return SERIES_RESERVED;
}

static void free_parts(struct series *series)
{
	while (series != NULL) {
		struct series *next = series->next;
		free(series);
		series = next;
	}
}

void series_clear(struct series_cache *cache)
{
	for (size_t i = 0; i < cache->size; i++)
		free_parts(cache->slots[i]);
	free(cache->slots);
	free(cache->channels);
	*cache = (struct series_cache){.size = 0};
}
