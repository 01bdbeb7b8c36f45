#include "clock.h"

#include <errno.h>
#include <string.h>

static const char *const mark_names[] = {
	[DP_CLOCK_UNSYNCED] = "unsynced",
	[DP_CLOCK_GUESSED] = "guessed",
	[DP_CLOCK_NONE] = "none",
};

static const char *const trust_names[] = {
	[DP_CLOCK_TRUST_AUTO] = "auto",
	[DP_CLOCK_TRUST_KERNEL] = "kernel",
	[DP_CLOCK_TRUST_ALWAYS] = "always",
};

enum dp_clock_mark dp_clock_mark(
	const struct dp_clock *clock, enum dp_clock_trust trust, int64_t earliest_s)
{
	/* Times below 2^28 s (1978) mean "relative" in SenML: none can be sent. */
	if (trust == DP_CLOCK_TRUST_ALWAYS &&
		clock->wall_us(clock->data) >= (int64_t)1000000 << 28)
		return DP_CLOCK_SYNCED;
	if (clock->wall_us(clock->data) < earliest_s * 1000000)
		return DP_CLOCK_NONE;
	if (clock->synchronised(clock->data))
		return DP_CLOCK_SYNCED;
	return trust == DP_CLOCK_TRUST_KERNEL ? DP_CLOCK_NONE : DP_CLOCK_UNSYNCED;
}

const char *dp_clock_mark_name(enum dp_clock_mark mark)
{
	return mark_names[mark];
}

int dp_clock_parse_mark(const char *name, enum dp_clock_mark *mark)
{
	for (unsigned i = DP_CLOCK_UNSYNCED; i <= DP_CLOCK_NONE; i++) {
		if (strcmp(name, mark_names[i]) == 0) {
			*mark = (enum dp_clock_mark)i;
			return 0;
		}
	}
	return -EINVAL;
}

int dp_clock_parse_trust(const char *name, enum dp_clock_trust *trust)
{
	for (unsigned i = DP_CLOCK_TRUST_AUTO; i <= DP_CLOCK_TRUST_ALWAYS; i++) {
		if (strcmp(name, trust_names[i]) == 0) {
			*trust = (enum dp_clock_trust)i;
			return 0;
		}
	}
	return -EINVAL;
}
