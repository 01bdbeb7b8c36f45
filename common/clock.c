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

static bool is_step(int64_t a_us, int64_t b_us)
{
	return a_us - b_us > DP_CLOCK_STEP_US || b_us - a_us > DP_CLOCK_STEP_US;
}

/* Of a clock that says that the board booted then. */
static void learn(
	struct dp_clock_watch *watch, int64_t boot_us, int64_t now_ns, bool synchronised)
{
	bool returned = watch->known && !is_step(boot_us, watch->boot_us);
	bool waits = watch->doubted && !is_step(boot_us, watch->doubt_us) && synchronised;
	bool first = !watch->known && synchronised;
	if (first || (waits && now_ns - watch->since_ns >= DP_CLOCK_CONFIRM_NS))
		watch->known = returned = true;
	/* Small corrections may add up. */
	if (returned && synchronised)
		watch->boot_us = boot_us;
	if (!returned && !waits) {
		watch->doubt_us = boot_us;
		watch->since_ns = now_ns;
	}
	watch->doubted = watch->known && !returned;
}

struct dp_clock_now dp_clock_look(struct dp_clock_watch *watch,
	const struct dp_clock *clock, enum dp_clock_trust trust, int64_t earliest_s)
{
	struct dp_clock_now now = {
		.wall_us = clock->wall_us(clock->data),
		.boot_ns = clock->boot_ns(clock->data),
		.mark = dp_clock_mark(clock, trust, earliest_s),
	};
	if (trust == DP_CLOCK_TRUST_ALWAYS)
		return now;
	learn(watch, now.wall_us - now.boot_ns / 1000, now.boot_ns,
		now.mark == DP_CLOCK_SYNCED);
	if (watch->doubted && now.mark == DP_CLOCK_SYNCED)
		now.mark = DP_CLOCK_UNSYNCED;
	return now;
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
