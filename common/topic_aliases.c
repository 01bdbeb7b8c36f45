#include "topic_aliases.h"

#include <assert.h>
#include <string.h>

/* DISCONNECT's reasons. mosquitto says the latter of an alias that it does not know. */
#define TOPIC_ALIAS_INVALID 0x94
#define PROTOCOL_ERROR 0x82

void dp_topic_aliases_begin(struct dp_topic_aliases *aliases, uint16_t most)
{
	aliases->n = 0;
	aliases->most = most < DP_TOPIC_ALIASES ? most : DP_TOPIC_ALIASES;
	if (aliases->off)
		aliases->most = 0;
}

uint16_t dp_topic_alias(
	const struct dp_topic_aliases *aliases, const char *topic, bool *known)
{
	uint16_t i = 0;
	while (i < aliases->n && strcmp(aliases->topics[i], topic) != 0)
		i++;
	*known = i < aliases->n;
	return i < aliases->most && strlen(topic) < DP_TOPIC_MAX ? i + 1 : 0;
}

void dp_topic_alias_sent(
	struct dp_topic_aliases *aliases, const char *topic, uint16_t alias)
{
	if (alias == 0 || alias <= aliases->n)
		return;
	assert(alias == aliases->n + 1 && alias <= aliases->most);
	memcpy(aliases->topics[aliases->n++], topic, strlen(topic) + 1);
}

bool dp_topic_aliases_ended(struct dp_topic_aliases *aliases, int reason)
{
	bool used = aliases->n > 0;
	bool refused = reason == TOPIC_ALIAS_INVALID || (reason == PROTOCOL_ERROR && used);
	if (!refused || aliases->off)
		return false;
	aliases->off = true;
	dp_topic_aliases_begin(aliases, 0);
	return true;
}
