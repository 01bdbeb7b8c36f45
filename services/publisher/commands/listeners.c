#include "listeners.h"

#include <stdio.h>
#include <string.h>

/* Of the name behind a topic's last slash; NULL when it is none. */
static const char *name_of(const char *topic)
{
	const char *name = strrchr(topic, '/') + 1;
	return dp_name_valid(name, strlen(name)) ? name : NULL;
}

static size_t index_of(const struct listeners *listeners, const char *output)
{
	size_t i = 0;
	while (i < listeners->n && strcmp(listeners->at[i].output, output) != 0)
		i++;
	return i;
}

bool listeners_note(struct listeners *listeners, const struct dp_bus_message *message)
{
	const char *output = name_of(message->topic), *sampler = NULL;
	for (size_t i = 0; i < message->n_properties; i++) {
		if (strcmp(message->properties[i].name, "sampler") == 0)
			sampler = message->properties[i].value;
	}
	/* What is retained may be of somebody who is gone. */
	if (message->retain || output == NULL || sampler == NULL ||
		!dp_name_valid(sampler, strlen(sampler)))
		return false;
	size_t i = index_of(listeners, output);
	if (i == LISTENERS_MAX)
		return false;
	if (i == listeners->n)
		listeners->n++;
	snprintf(listeners->at[i].output, sizeof(listeners->at[i].output), "%s", output);
	snprintf(listeners->at[i].sampler, sizeof(listeners->at[i].sampler), "%s", sampler);
	return true;
}

const char *listeners_note_sampler(
	struct listeners *listeners, const struct dp_bus_message *message, size_t *lost)
{
	static const char online[] = "online";
	const char *sampler = name_of(message->topic);
	size_t kept = 0, n = listeners->n;
	if (message->retain || sampler == NULL ||
		(message->len == strlen(online) &&
			memcmp(message->payload, online, message->len) == 0))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(listeners->at[i].sampler, sampler) != 0)
			listeners->at[kept++] = listeners->at[i];
	}
	listeners->n = kept;
	*lost = n - kept;
	return sampler;
}

void listeners_forget(struct listeners *listeners)
{
	listeners->n = 0;
}

const char *listeners_of(const struct listeners *listeners, const char *output)
{
	size_t i = index_of(listeners, output);
	return i < listeners->n ? listeners->at[i].sampler : NULL;
}
