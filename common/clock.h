/*
 * Time, passed in: no other file asks the kernel what time it is, so that tests
 * can say so instead.
 */
#ifndef DP_CLOCK_H
#define DP_CLOCK_H

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

/** @return the property's text (`unsynced`, `guessed`, `none`), or NULL for synchronised */
const char *dp_clock_mark_name(enum dp_clock_mark mark);

/** @return 0 and *mark for one of those texts, or -EINVAL */
int dp_clock_parse_mark(const char *name, enum dp_clock_mark *mark);

/** `auto`, `kernel`, `always`. @return 0 and *trust, or -EINVAL */
int dp_clock_parse_trust(const char *name, enum dp_clock_trust *trust);

#endif
