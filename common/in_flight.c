#include "in_flight.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

static struct dp_in_flight_slot *slot_of(const struct dp_in_flight *set, int mid)
{
	return &set->slots[(unsigned)mid % DP_IN_FLIGHT_SLOTS];
}

void dp_in_flight_sent(struct dp_in_flight *set, int mid, const char *topic)
{
	if (set->slots == NULL)
		set->slots = calloc(DP_IN_FLIGHT_SLOTS, sizeof(*set->slots));
	char *copy = set->slots == NULL ? NULL : strdup(topic);
	if (copy == NULL)
		dp_log_out_of_memory("the topics in flight");
	/* Numbers count up: another one here is the oldest of all. */
	struct dp_in_flight_slot *slot = slot_of(set, mid);
	free(slot->topic);
	*slot = (struct dp_in_flight_slot){mid, copy};
}

char *dp_in_flight_answered(struct dp_in_flight *set, int mid)
{
	if (set->slots == NULL || slot_of(set, mid)->mid != mid)
		return NULL;
	struct dp_in_flight_slot *slot = slot_of(set, mid);
	char *topic = slot->topic;
	*slot = (struct dp_in_flight_slot){.mid = 0};
	return topic;
}

void dp_in_flight_clear(struct dp_in_flight *set)
{
	for (size_t i = 0; set->slots != NULL && i < DP_IN_FLIGHT_SLOTS; i++)
		free(set->slots[i].topic);
	free(set->slots);
	set->slots = NULL;
}
