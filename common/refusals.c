#include "refusals.h"

#include <stdio.h>
#include <string.h>

#define CLASSES                                                                            \
	(sizeof((struct dp_refusals){.n = 0}.classes) / sizeof(struct dp_refusal_class))

/* "/data/x" and "data/x" have "data". */
static void first_level(const char *topic, char *name, size_t size)
{
	topic += *topic == '/';
	snprintf(name, size, "%.*s", (int)strcspn(topic, "/"), topic);
}

static struct dp_refusal_class *class_of(struct dp_refusals *refusals, const char *topic)
{
	char name[sizeof(refusals->classes[0].name)];
	first_level(topic, name, sizeof(name));
	for (size_t i = 0; i < refusals->n; i++)
		if (strcmp(refusals->classes[i].name, name) == 0)
			return &refusals->classes[i];
	if (refusals->n == CLASSES)
		return &refusals->classes[CLASSES - 1];
	struct dp_refusal_class *class = &refusals->classes[refusals->n++];
	memcpy(class->name, name, sizeof(name));
	return class;
}

uint64_t dp_refusals_note(struct dp_refusals *refusals, const char *topic, int64_t now_ms)
{
	struct dp_refusal_class *class = class_of(refusals, topic);
	class->count++;
	if (class->next_ms != 0 && now_ms < class->next_ms)
		return 0;
	uint64_t count = class->count;
	class->next_ms = now_ms + DP_REFUSALS_PERIOD_MS;
	class->count = 0;
	return count;
}
