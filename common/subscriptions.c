#include "subscriptions.h"

#include <stdlib.h>
#include <string.h>

#define NO_ANSWER (-1)
#define FIRST_REASON 0x80

static bool granted(const struct dp_subscription *s)
{
	return s->answer >= DP_SUBSCRIBE_QOS && s->answer < FIRST_REASON;
}

void dp_subscriptions_begin(struct dp_subscriptions *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct dp_subscription *s = &set->at[i];
		s->wanted = false;
		s->mid = 0;
		if (granted(s))
			s->answer = NO_ANSWER;
	}
}

static struct dp_subscription *find(struct dp_subscriptions *set, const char *filter)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->at[i].filter, filter) == 0)
			return &set->at[i];
	return NULL;
}

static struct dp_subscription *add(struct dp_subscriptions *set, const char *filter)
{
	char *copy = strdup(filter);
	struct dp_subscription *grown =
		copy == NULL ? NULL : realloc(set->at, (set->n + 1) * sizeof(*grown));
	if (grown == NULL) {
		free(copy);
		return NULL;
	}
	set->at = grown;
	grown[set->n] = (struct dp_subscription){.filter = copy, .answer = NO_ANSWER};
	return &grown[set->n++];
}

void dp_subscriptions_drop(struct dp_subscriptions *set, const char *filter)
{
	struct dp_subscription *s = find(set, filter);
	if (s == NULL)
		return;
	s->wanted = false;
	s->mid = 0;
	s->answer = NO_ANSWER;
}

struct dp_subscription *dp_subscriptions_ask(
	struct dp_subscriptions *set, const char *filter, int64_t now_ms)
{
	struct dp_subscription *s = find(set, filter);
	if (s == NULL)
		s = add(set, filter);
	if (s == NULL)
		return NULL;
	s->wanted = true;
	s->mid = 0;
	s->wait_ms = DP_SUBSCRIBE_FIRST_MS;
	s->next_ms = now_ms + s->wait_ms;
	return s;
}

enum dp_subscription_news dp_subscriptions_answered(struct dp_subscriptions *set, int mid,
	int answer, int64_t now_ms, const struct dp_subscription **entry)
{
	struct dp_subscription *s = NULL;
	for (size_t i = 0; i < set->n && mid != 0; i++)
		if (set->at[i].mid == mid)
			s = &set->at[i];
	if (s == NULL)
		return DP_SUBSCRIPTION_SAME;
	bool same = s->answer == answer;
	s->mid = 0;
	s->answer = answer;
	s->next_ms = now_ms + s->wait_ms;
	*entry = s;
	if (same)
		return DP_SUBSCRIPTION_SAME;
	if (granted(s))
		return DP_SUBSCRIPTION_GRANTED;
	return answer < FIRST_REASON ? DP_SUBSCRIPTION_WEAKER : DP_SUBSCRIPTION_REFUSED;
}

struct dp_subscription *dp_subscriptions_due(struct dp_subscriptions *set, int64_t now_ms)
{
	for (size_t i = 0; i < set->n; i++) {
		struct dp_subscription *s = &set->at[i];
		if (!s->wanted || granted(s) || now_ms < s->next_ms)
			continue;
		s->wait_ms = s->wait_ms * 2 > DP_SUBSCRIBE_LIMIT_MS ? DP_SUBSCRIBE_LIMIT_MS
								    : s->wait_ms * 2;
		s->next_ms = now_ms + s->wait_ms;
		return s;
	}
	return NULL;
}

/* How much it says about what is wrong. */
static int weight(const struct dp_subscription *s)
{
	if (!s->wanted || granted(s))
		return 0;
	if (s->error != 0)
		return 3;
	return s->answer == NO_ANSWER ? 1 : s->answer < FIRST_REASON ? 2 : 3;
}

const struct dp_subscription *dp_subscriptions_lacking(const struct dp_subscriptions *set)
{
	const struct dp_subscription *worst = NULL;
	for (size_t i = 0; i < set->n; i++)
		if (weight(&set->at[i]) > (worst == NULL ? 0 : weight(worst)))
			worst = &set->at[i];
	return worst;
}

void dp_subscriptions_finish(struct dp_subscriptions *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->at[i].filter);
	free(set->at);
	*set = (struct dp_subscriptions){.n = 0};
}
