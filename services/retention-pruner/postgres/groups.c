#include "groups.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

#define DAY_US INT64_C(86400000000)

static void append(struct group *group, const char *text, size_t len)
{
	if (group->len + len >= group->size) {
		size_t size = (group->len + len + 1) * 2;
		char *ids = realloc(group->ids, size);
		if (ids == NULL)
			dp_log_out_of_memory("sensors");
		group->ids = ids;
		group->size = size;
	}
	memcpy(group->ids + group->len, text, len + 1);
	group->len += len;
}

void groups_begin(struct groups *groups, const struct policies *policies)
{
	groups_finish(groups);
	groups->at = calloc(policies->n + 1, sizeof(*groups->at));
	if (groups->at == NULL)
		dp_log_out_of_memory("policies");
	groups->n = policies->n + 1;
	for (size_t i = 0; i < groups->n; i++) {
		groups->at[i].policy =
			i == 0 ? &policies->all : &policies->overrides[i - 1].policy;
		append(&groups->at[i], "{}", 2);
		if (groups->at[i].policy->raw_us > groups->longest_us)
			groups->longest_us = groups->at[i].policy->raw_us;
	}
}

void groups_add(struct groups *groups, const struct policies *policies, const char *id,
	const char *topic, const char *name)
{
	const struct policy *policy = policies_of(policies, topic, name);
	size_t i = 0;
	while (groups->at[i].policy != policy)
		i++;
	struct group *group = &groups->at[i];
	group->len--; /* the bracket */
	if (group->n++ > 0)
		append(group, ",", 1);
	append(group, id, strlen(id));
	append(group, "}", 1);
}

void groups_finish(struct groups *groups)
{
	for (size_t i = 0; i < groups->n; i++)
		free(groups->at[i].ids);
	free(groups->at);
	*groups = (struct groups){.n = 0};
}

bool groups_go_singly(const struct groups *groups, const struct group *group)
{
	return group->policy->raw_us < groups->longest_us || group->policy->raw_us < DAY_US;
}
