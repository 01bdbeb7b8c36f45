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

unsigned target_level(const struct postgres_store *store)
{
	const struct policy *policy = target_group(store)->policy;
	unsigned i = 0;
	if (store->place.size_s == 0)
		return 0;
	while (i < policy->n && policy->sizes[i].size_us != store->place.size_s * 1000000)
		i++;
	return i + 1;
}

int64_t target_age_us(const struct postgres_store *store)
{
	const struct policy *policy = target_group(store)->policy;
	unsigned level = target_level(store);
	if (level == 0)
		return policy->raw_us;
	return level <= policy->n ? policy->sizes[level - 1].age_us : 0;
}
