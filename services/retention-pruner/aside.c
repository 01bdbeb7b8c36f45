#include "aside.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

static bool is_in(const int64_t *ids, size_t n, int64_t sensor)
{
	for (size_t i = 0; i < n; i++) {
		if (ids[i] == sensor)
			return true;
	}
	return false;
}

void aside_begin(struct aside *aside)
{
	memcpy(aside->before, aside->ids, sizeof(aside->ids));
	aside->n_before = aside->n;
	aside->n = 0;
}

bool aside_has(const struct aside *aside, int64_t sensor)
{
	return is_in(aside->ids, aside->n, sensor);
}

bool aside_add(struct aside *aside, int64_t sensor, const char *topic, const char *name,
	const char *error)
{
	if (aside->n == ASIDE_MAX)
		return false;
	if (!is_in(aside->before, aside->n_before, sensor))
		dp_log(DP_LOG_WARN,
			"the readings of a sensor cannot be counted: others are, its own "
			"wait until the cause is mended",
			"topic=\"%s\" sensor=\"%s\" error=\"%s\"", topic, name, error);
	snprintf(aside->reason, sizeof(aside->reason),
		"readings of %s%s%s cannot be counted%s: see the log of the pruner", topic,
		*name != '\0' ? " " : "", name, aside->n > 0 ? ", and others" : "");
	aside->ids[aside->n++] = sensor;
	return true;
}
