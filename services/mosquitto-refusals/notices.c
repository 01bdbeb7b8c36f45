#include "notices.h"

#include <stdio.h>
#include <string.h>

static bool is_over(
	const struct notices *notices, const struct notice *notice, int64_t now_ms)
{
	return now_ms - notice->said_ms >= notices->period_ms;
}

/* The place of this name and action; a free one; or the one that is shared. */
static struct notice *place(
	struct notices *notices, enum action action, const char *who, int64_t now_ms)
{
	struct notice *vacant = NULL;
	for (size_t i = 0; i < NOTICES_MAX; i++) {
		struct notice *notice = &notices->own[i];
		if (notice->used && notice->action == action &&
			strncmp(notice->who, who, NOTICE_WHO_SIZE - 1) == 0)
			return notice;
		if (!notice->used ||
			(notice->unsaid == 0 && is_over(notices, notice, now_ms)))
			vacant = notice;
	}
	if (vacant == NULL)
		return &notices->others[action];
	*vacant = (struct notice){.used = false};
	snprintf(vacant->who, sizeof(vacant->who), "%s", who);
	return vacant;
}

bool notices_add(struct notices *notices, enum action action, const char *who,
	const char *fields, int64_t now_ms)
{
	struct notice *notice = place(notices, action, who, now_ms);
	bool say =
		!notice->used || (notice->unsaid == 0 && is_over(notices, notice, now_ms));
	notice->used = true;
	notice->action = action;
	snprintf(notice->fields, sizeof(notice->fields), "%s", fields);
	if (say)
		notice->said_ms = now_ms;
	else
		notice->unsaid++;
	return say;
}

static bool due(const struct notices *notices, const struct notice *notice, int64_t now_ms)
{
	return notice->unsaid > 0 && is_over(notices, notice, now_ms);
}

const struct notice *notices_due(struct notices *notices, int64_t now_ms, uint64_t *count)
{
	struct notice *found = NULL;
	for (size_t i = 0; i < NOTICES_MAX && found == NULL; i++) {
		if (due(notices, &notices->own[i], now_ms))
			found = &notices->own[i];
	}
	for (size_t i = 0; i < ACTIONS && found == NULL; i++) {
		if (due(notices, &notices->others[i], now_ms))
			found = &notices->others[i];
	}
	if (found != NULL) {
		*count = found->unsaid;
		found->unsaid = 0;
		found->said_ms = now_ms;
	}
	return found;
}

bool notices_shared(const struct notices *notices, const struct notice *notice)
{
	return notice >= notices->others && notice < notices->others + ACTIONS;
}
