#include "pace.h"

void pace_init(struct pace *pace, int64_t period_ms, int64_t interval_ms, unsigned retries,
	int64_t first_ms)
{
	*pace = (struct pace){.period_ms = period_ms,
		.interval_ms = interval_ms,
		.retries = retries,
		.deadline_ms = first_ms,
		.tried_ms = first_ms};
}

void pace_tried(struct pace *pace, int64_t now_ms)
{
	pace->attempts++;
	pace->tried_ms = now_ms;
}

/* When the failed attempt may be followed by another of the same period; 0: not at all. */
static int64_t retry_at(const struct pace *pace, int64_t now_ms)
{
	if (pace->attempts == 0 || pace->attempts > pace->retries)
		return 0;
	int64_t at = pace->tried_ms + pace->interval_ms;
	if (at < now_ms)
		at = now_ms;
	/* The next deadline's attempt keeps its interval to this one. */
	return at + pace->interval_ms <= pace->deadline_ms + pace->period_ms ? at : 0;
}

int64_t pace_next(struct pace *pace, int64_t now_ms, bool failed)
{
	int64_t at = failed ? retry_at(pace, now_ms) : 0;
	if (at != 0)
		return at;
	pace->attempts = 0;
	pace->deadline_ms += pace->period_ms;
	int64_t earliest = pace->tried_ms + pace->interval_ms;
	if (earliest < now_ms)
		earliest = now_ms;
	if (pace->deadline_ms < earliest)
		pace->deadline_ms += (earliest - pace->deadline_ms + pace->period_ms - 1) /
				     pace->period_ms * pace->period_ms;
	return pace->deadline_ms;
}
