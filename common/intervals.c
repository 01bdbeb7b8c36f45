#include "intervals.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void dp_intervals_finish(struct dp_intervals *set)
{
	free(set->at);
	*set = (struct dp_intervals){.at = NULL};
}

void dp_intervals_clear(struct dp_intervals *set)
{
	set->n = 0;
}

/* Index of the first range whose last is at or above value; n when there is none. */
static size_t lower_bound(const struct dp_intervals *set, uint64_t value)
{
	size_t low = 0, high = set->n;
	/* Nearly every call is about the newest range. */
	if (high > 0 && set->at[high - 1].first <= value)
		low = set->at[high - 1].last >= value ? high - 1 : high;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (set->at[mid].last < value)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int reserve(struct dp_intervals *set, size_t n)
{
	if (n <= set->size)
		return 0;
	size_t size = set->size == 0 ? 4 : set->size * 2;
	struct dp_interval *at = realloc(set->at, size * sizeof(*at));
	if (at == NULL)
		return -ENOMEM;
	set->at = at;
	set->size = size;
	return 0;
}

/* Replace the ranges [from, to) by n new ones. */
static void splice(struct dp_intervals *set, size_t from, size_t to,
	const struct dp_interval *with, size_t n)
{
	if (set->n > to)
		memmove(set->at + from + n, set->at + to, (set->n - to) * sizeof(*set->at));
	if (n > 0)
		memcpy(set->at + from, with, n * sizeof(*with));
	set->n = set->n - (to - from) + n;
}

/* The ranges [*from, *to) that touch or overlap [first, last]. */
static void touching(const struct dp_intervals *set, uint64_t first, uint64_t last,
	size_t *from, size_t *to)
{
	*from = lower_bound(set, first == 0 ? 0 : first - 1);
	*to = *from;
	while (*to < set->n && (last == UINT64_MAX || set->at[*to].first <= last + 1))
		(*to)++;
}

int dp_intervals_add(struct dp_intervals *set, uint64_t first, uint64_t last)
{
	assert(first <= last);
	size_t from, to;
	touching(set, first, last, &from, &to);
	if (from == to && reserve(set, set->n + 1) != 0)
		return -ENOMEM;
	struct dp_interval merged = {first, last};
	if (from < to) {
		if (set->at[from].first < first)
			merged.first = set->at[from].first;
		if (set->at[to - 1].last > last)
			merged.last = set->at[to - 1].last;
	}
	splice(set, from, to, &merged, 1);
	return 0;
}

int dp_intervals_remove(struct dp_intervals *set, uint64_t first, uint64_t last)
{
	assert(first <= last);
	size_t from = lower_bound(set, first);
	size_t to = from;
	while (to < set->n && set->at[to].first <= last)
		to++;
	if (from == to)
		return 0;
	struct dp_interval rest[2];
	size_t n = 0;
	if (set->at[from].first < first)
		rest[n++] = (struct dp_interval){set->at[from].first, first - 1};
	if (set->at[to - 1].last > last)
		rest[n++] = (struct dp_interval){last + 1, set->at[to - 1].last};
	if (reserve(set, set->n + 1) != 0)
		return -ENOMEM;
	splice(set, from, to, rest, n);
	return 0;
}

bool dp_intervals_contains(const struct dp_intervals *set, uint64_t value)
{
	size_t i = lower_bound(set, value);
	return i < set->n && set->at[i].first <= value;
}

bool dp_intervals_joins(const struct dp_intervals *set, uint64_t first, uint64_t last)
{
	size_t from, to;
	touching(set, first, last, &from, &to);
	return from < to;
}

bool dp_intervals_missing(const struct dp_intervals *set, uint64_t first, uint64_t last,
	struct dp_interval *out)
{
	size_t i = lower_bound(set, first);
	if (i < set->n && set->at[i].first <= first) {
		if (set->at[i].last >= last)
			return false;
		first = set->at[i].last + 1;
		i++;
	}
	out->first = first;
	out->last = i < set->n && set->at[i].first <= last ? set->at[i].first - 1 : last;
	return true;
}
