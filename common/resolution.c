#include "resolution.h"

#include <stdbool.h>

/* How far back is asked for: to the begin of the span, or as far as anything reaches. */
static int64_t reach(const struct dp_resolution *sizes, size_t n, int64_t from_us)
{
	int64_t farthest_us = sizes[0].from_us;
	for (size_t i = 1; i < n; i++) {
		if (sizes[i].from_us < farthest_us)
			farthest_us = sizes[i].from_us;
	}
	return farthest_us > from_us ? farthest_us : from_us;
}

size_t dp_resolution_choose(const struct dp_resolution *sizes, size_t n, int64_t from_us,
	int64_t until_us, int64_t points)
{
	int64_t reach_us = reach(sizes, n, from_us);
	int64_t step_us = (until_us - from_us) / points;
	size_t chosen = 0;
	bool found = false;
	for (size_t i = 0; i < n; i++) {
		/* A bucket that contains the begin begins before it. */
		if (sizes[i].from_us > reach_us + sizes[i].size_us)
			continue;
		if (!found || sizes[i].size_us <= step_us)
			chosen = i;
		found = true;
	}
	return chosen;
}
