#include "series.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t len)
{
	/* FNV-1a, 64 bits. */
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	return hash;
}

static uint64_t hash_key(const char *topic, struct dp_slice name)
{
	/* The NUL keeps ("a", "bc") apart from ("ab", "c"). */
	uint64_t hash = hash_bytes(14695981039346656037u, topic, strlen(topic) + 1);
	return hash_bytes(hash, name.at, name.len);
}

static bool is(const struct series *series, const char *topic, struct dp_slice name)
{
	return dp_slice_equal((struct dp_slice){series->name, series->name_len}, name) &&
	       strcmp(series->topic, topic) == 0;
}

struct series *series_find(
	struct series_cache *cache, const char *topic, struct dp_slice name)
{
	if (cache->size == 0)
		return NULL;
	if (cache->last != NULL && is(cache->last, topic, name))
		return cache->last;
	uint64_t hash = hash_key(topic, name);
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

static void place(struct series_cache *cache, struct series *series)
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
	struct series_cache larger = {.size = cache->size == 0 ? 64 : cache->size * 2};
	larger.slots = calloc(larger.size, sizeof(struct series *));
	if (larger.slots == NULL)
		return -1;
	for (size_t i = 0; i < cache->size; i++) {
		if (cache->slots[i] != NULL)
			place(&larger, cache->slots[i]);
	}
	larger.n = cache->n;
	larger.last = cache->last;
	free(cache->slots);
	*cache = larger;
	return 0;
}

static void series_free(struct series *series)
{
	if (series == NULL)
		return;
	free(series->topic);
	free(series->name);
	free(series);
}

struct series *series_add(
	struct series_cache *cache, const char *topic, struct dp_slice name, int64_t sensor)
{
	if (grow(cache) != 0)
		return NULL;
	struct series *series = calloc(1, sizeof(*series));
	if (series == NULL)
		return NULL;
	series->sensor = sensor;
	series->hash = hash_key(topic, name);
	series->topic = strdup(topic);
	series->name = strndup(name.at, name.len);
	series->name_len = name.len;
	if (series->topic == NULL || series->name == NULL) {
		series_free(series);
		return NULL;
	}
	place(cache, series);
	cache->n++;
	return series;
}

/* Without looking for the end of `text` first. */
static bool same(const char *text, size_t size, struct dp_slice slice)
{
	return slice.len < size && text[slice.len] == '\0' &&
	       (slice.len == 0 || memcmp(text, slice.at, slice.len) == 0);
}

int series_column(const struct series *series, const struct dp_value *value)
{
	for (int i = 0; i < SERIES_COLUMNS; i++) {
		const struct channel *channel = &series->columns[i];
		if (channel->quantity[0] != '\0' &&
			same(channel->quantity, sizeof(channel->quantity),
				value->quantity) &&
			same(channel->unit, sizeof(channel->unit), value->unit))
			return i;
	}
	return -1;
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

int series_free_column(const struct series *series, const struct dp_value *value)
{
	int reserved = reserved_column(value);
	if (reserved >= 0)
		return reserved;
	for (int i = 2; i < SERIES_COLUMNS; i++) {
		if (series->columns[i].quantity[0] == '\0')
			return i;
	}
	return -1;
}

void series_clear(struct series_cache *cache)
{
	for (size_t i = 0; i < cache->size; i++)
		series_free(cache->slots[i]);
	free(cache->slots);
	*cache = (struct series_cache){.size = 0};
}
