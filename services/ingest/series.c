#include "series.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_SEARCHED 64 /* the newest; what is not found there is kept twice */

static uint32_t hash_bytes(uint32_t hash, const char *bytes, size_t len)
{
	/* FNV-1a, 32 bits. */
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 16777619u;
	return hash;
}

static uint32_t hash_key(const char *topic, struct dp_slice name)
{
	/* The NUL keeps ("a", "bc") apart from ("ab", "c"). */
	uint32_t hash = hash_bytes(2166136261u, topic, strlen(topic) + 1);
	return hash_bytes(hash, name.at, name.len);
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
	struct series_cache larger = *cache;
	larger.size = cache->size == 0 ? 64 : cache->size * 2;
	larger.slots = calloc(larger.size, sizeof(struct series *));
	if (larger.slots == NULL)
		return -1;
	for (size_t i = 0; i < cache->size; i++) {
		if (cache->slots[i] != NULL)
			place(&larger, cache->slots[i]);
	}
	free(cache->slots);
	*cache = larger;
	return 0;
}

struct series *series_add(
	struct series_cache *cache, const char *topic, struct dp_slice name, int64_t sensor)
{
	size_t topic_len = strlen(topic);
	if (grow(cache) != 0)
		return NULL;
	struct series *series = calloc(1, sizeof(*series) + topic_len + name.len + 2);
	if (series == NULL)
		return NULL;
	series->sensor = sensor;
	series->hash = hash_key(topic, name);
	series->name_at = (uint32_t)(topic_len + 1);
	series->name_len = (uint32_t)name.len;
	memcpy(series->topic, topic, topic_len);
	if (name.len > 0)
		memcpy(series->topic + series->name_at, name.at, name.len);
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

static bool is_channel(const struct channel *channel, const struct dp_value *value)
{
	return same(channel->quantity, sizeof(channel->quantity), value->quantity) &&
	       same(channel->unit, sizeof(channel->unit), value->unit);
}

int series_column(const struct series_cache *cache, const struct series *series,
	const struct dp_value *value)
{
	for (int i = 0; i < SERIES_COLUMNS; i++) {
		uint32_t channel = series->columns[i];
		if (channel != 0 && is_channel(&cache->channels[channel - 1], value))
			return i;
	}
	return -1;
}

static int add_channel(struct series_cache *cache, const char *quantity, const char *unit)
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
	snprintf(channel->quantity, sizeof(channel->quantity), "%s", quantity);
	snprintf(channel->unit, sizeof(channel->unit), "%s", unit);
	return 0;
}

int series_set_column(struct series_cache *cache, struct series *series, int column,
	const char *quantity, const char *unit)
{
	const struct dp_value value = {dp_slice(quantity), dp_slice(unit), 0};
	size_t i = cache->n_channels, searched = 0;
	while (i > 0 && searched < CHANNELS_SEARCHED &&
		!is_channel(&cache->channels[i - 1], &value)) {
		i--;
		searched++;
	}
	if (i == 0 || searched == CHANNELS_SEARCHED) {
		if (add_channel(cache, quantity, unit) != 0)
			return -ENOMEM;
		i = cache->n_channels;
	}
	series->columns[column] = (uint32_t)i;
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

int series_free_column(const struct series *series, const struct dp_value *value)
{
	int reserved = reserved_column(value);
	if (reserved >= 0)
		return reserved;
	for (int i = 2; i < SERIES_COLUMNS; i++) {
		if (series->columns[i] == 0)
			return i;
	}
	return -1;
}

void series_clear(struct series_cache *cache)
{
	for (size_t i = 0; i < cache->size; i++)
		free(cache->slots[i]);
	free(cache->slots);
	free(cache->channels);
	*cache = (struct series_cache){.size = 0};
}
