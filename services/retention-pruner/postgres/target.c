#include "prune_postgres.h"

int target_next(struct prune *prune)
{
	struct target *target = &prune->target;
	for (;;) {
		while (target->group < prune->groups.n) {
			target->group++;
			if (target_group(prune)->n > 0)
				return 1;
		}
		int found = step_ask(prune, "SELECT min(size) FROM rollup WHERE size > $1",
			1, &target->size_s, NULL, &target->size_s);
		if (found <= 0)
			return found;
		target->group = 0;
	}
}

const struct group *target_group(const struct prune *prune)
{
	return &prune->groups.at[prune->target.group - 1];
}

/* Which of a policy's sizes it is, counted from 1; 0: readings; more: none of them. */
static unsigned size_of(const struct prune *prune)
{
	const struct policy *policy = target_group(prune)->policy;
	unsigned i = 0;
	if (prune->target.size_s == 0)
		return 0;
	while (i < policy->n && policy->sizes[i].size_us != prune->target.size_s * 1000000)
		i++;
	return i + 1;
}

int64_t target_age_us(const struct prune *prune)
{
	const struct policy *policy = target_group(prune)->policy;
	unsigned size = size_of(prune);
	if (size == 0)
		return policy->raw_us;
	return size <= policy->n ? policy->sizes[size - 1].age_us : 0;
}

unsigned target_level(const struct prune *prune)
{
	return size_of(prune);
}
