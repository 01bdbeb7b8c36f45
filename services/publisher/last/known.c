#include "known.h"

#include <string.h>

struct known *known_of(struct known_names *names, struct dp_slice name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (dp_slice_equal(dp_slice(names->at[i].name), name))
			return &names->at[i];
	}
	if (names->n == KNOWN_MAX)
		return NULL;
	struct known *known = &names->at[names->n++];
	*known = (struct known){.told = false};
	memcpy(known->name, name.at, name.len);
	return known;
}

struct known *known_of_topic(struct known_names *names, const char *topic)
{
	struct dp_slice name = dp_slice(strrchr(topic, '/') + 1);
	return dp_name_valid(name.at, name.len) ? known_of(names, name) : NULL;
}

bool known_says_online(const struct dp_bus_message *message)
{
	return message->len == strlen("online") &&
	       memcmp(message->payload, "online", message->len) == 0;
}

void known_note_online(struct known_names *names, struct known *known, bool online)
{
	if (known->told && known->online == online)
		return;
	known->told = known->status_due = true;
	known->online = online;
	names->due = true;
}
