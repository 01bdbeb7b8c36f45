/*
 * Time, passed in: only clock_system.c asks the kernel what time it is, so that a test can
 * give its own. A clock may be asked on any thread; a watch belongs to one.
 */
#ifndef DP_CLOCK_H
#define DP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/** How good a wall clock time is; stored with each reading as this number. */
enum dp_clock_mark {
	DP_CLOCK_SYNCED = 0,   /**< the kernel says it is synchronised */
	DP_CLOCK_UNSYNCED = 1, /**< plausible, but nobody vouches for it */
	DP_CLOCK_GUESSED = 2, /**< computed later from the time since boot, by best guess */
	DP_CLOCK_NONE = 3,    /**< not plausible: only the time since boot is known */
};

enum dp_clock_trust {
	DP_CLOCK_TRUST_AUTO,   /**< plausible is good enough, unsynchronised is marked */
	DP_CLOCK_TRUST_KERNEL, /**< unless the kernel says synchronised, there is no time */
	DP_CLOCK_TRUST_ALWAYS, /**< whatever the clock says is taken as synchronised */
};

#define DP_BOOT_ID_LEN 36

struct dp_clock {
	int64_t (*wall_us)(void *data);	  /**< microseconds since 1970 */
	int64_t (*boot_ns)(void *data);	  /**< nanoseconds since boot, suspend included */
	int (*synchronised)(void *data);  /**< 1 when the kernel says so, else 0 */
	char boot_id[DP_BOOT_ID_LEN + 1]; /**< of this boot; empty when unknown */
	void *data;
};

/** The kernel's clocks. */
void dp_clock_system(struct dp_clock *clock);

/** What the wall clock is worth now, `earliest_s` being the build date. */
enum dp_clock_mark dp_clock_mark(
	const struct dp_clock *clock, enum dp_clock_trust trust, int64_t earliest_s);

#define DP_CLOCK_STEP_US INT64_C(5000000)
#define DP_CLOCK_CONFIRM_NS INT64_C(600000000000)

/**
 * Watches a clock for steps. All zero at first: nothing is known.
 *
 * Wall clock and time since boot run alike, whatever slews them: what the wall clock showed
 * at boot changes only when somebody sets it. The first time that the kernel calls the
 * clock synchronised is when this instant becomes known; steps before that correct a clock
 * that nobody vouched for. After it
 *
 *   - a clock that is off the known instant by more than DP_CLOCK_STEP_US is in doubt. Its
 *     times are DP_CLOCK_UNSYNCED, also while the kernel calls it synchronised: a time
 *     server may lie;
 *   - the doubt ends at once when the clock is back at the known instant (which follows
 *     smaller corrections), and
 *   - it ends as well when the clock has stayed at its new instant for
 *     DP_CLOCK_CONFIRM_NS and was synchronised at each look: that instant is then the
 *     known one.
 *
 * With DP_CLOCK_TRUST_ALWAYS nothing is doubted.
 */
struct dp_clock_watch {
	bool known, doubted;
	int64_t boot_us;  /**< the known instant, microseconds since 1970 */
	int64_t doubt_us; /**< the instant that the clock shows instead, in doubt */
	int64_t since_ns; /**< time since boot from which on it has shown that one */
};

/** One look at a clock. */
struct dp_clock_now {
	int64_t wall_us;
	int64_t boot_ns;
	enum dp_clock_mark mark; /**< what wall_us is worth */
};

/** Look at the clock, as dp_clock_mark() but with the doubts above. */
struct dp_clock_now dp_clock_look(struct dp_clock_watch *watch,
	const struct dp_clock *clock, enum dp_clock_trust trust, int64_t earliest_s);

/** @return the property's text (`unsynced`, `guessed`, `none`), or NULL for synchronised */
const char *dp_clock_mark_name(enum dp_clock_mark mark);

/** @return 0 and *mark for one of those texts, or -EINVAL */
int dp_clock_parse_mark(const char *name, enum dp_clock_mark *mark);

/** `auto`, `kernel`, `always`. @return 0 and *trust, or -EINVAL */
int dp_clock_parse_trust(const char *name, enum dp_clock_trust *trust);

#endif
