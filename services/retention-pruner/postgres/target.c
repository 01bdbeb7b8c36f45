#include "target.h"

#include "step.h"

void target_rewind(void *data)
{
	struct postgres_store *store = data;
	store->place = (struct place){.day_us = -1};
	store->look_us = INT64_MIN;
}

int target_next(struct postgres_store *store)
{
	struct place *place = &store->place;
	for (;;) {
		while (place->group < store->groups.n) {
			place->group++;
			if (target_group(store)->n > 0)
				return 1;
		}
		int found = step_ask(store, "SELECT min(size) FROM rollup WHERE size > $1",
			1, &place->size_s, NULL, &place->size_s);
		if (found <= 0)
			return found;
		place->group = 0;
	}
}

const struct group *target_group(const struct postgres_store *store)
{
	return &store->groups.at[store->place.group - 1];
}
