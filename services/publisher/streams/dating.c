#include "dating.h"

#include <stdlib.h>
#include <string.h>

#define EARLIEST_US ((int64_t)1000000 << 28) /* below, SenML's times are relative */
#define LATEST_US ((int64_t)9000000000 * 1000000)
#define UPTIME_MAX_US ((int64_t)100 * 366 * 86400 * 1000000)

struct boot *dating_boot(struct dating *dating, const char *id)
{
	for (size_t i = 0; i < dating->n; i++) {
		if (strcmp(dating->boots[i]->id, id) == 0)
			return dating->boots[i];
	}
	struct boot **boots =
		realloc(dating->boots, (dating->n + 1) * sizeof(struct boot *));
	struct boot *boot = boots != NULL ? calloc(1, sizeof(*boot)) : NULL;
	if (boots != NULL)
		dating->boots = boots;
	if (boot == NULL)
		return NULL;
	strncpy(boot->id, id, DP_BOOT_ID_LEN);
	boot->mark = DP_CLOCK_NONE;
	dating->boots[dating->n++] = boot;
	return boot;
}

void dating_finish(struct dating *dating)
{
	for (size_t i = 0; i < dating->n; i++)
		free(dating->boots[i]);
	free(dating->boots);
	*dating = (struct dating){.n = 0};
}

void dating_note(struct boot *boot, int64_t boottime_ns)
{
	if (boottime_ns > boot->last_ns)
		boot->last_ns = boottime_ns;
}

/* No board runs that long: what claims so would push every other time away. */
static int64_t uptime_us(int64_t ns)
{
	return ns / 1000 < UPTIME_MAX_US ? ns / 1000 : UPTIME_MAX_US;
}

static void set(struct boot *boot, int64_t start_us, enum dp_clock_mark mark)
{
	boot->start_us = start_us;
	boot->mark = mark;
	boot->due = true;
}

static bool present(const struct boot *boot, const struct dating_now *now)
{
	return strcmp(boot->id, now->boot_id) == 0;
}

/* Youngest first: each ended when the next one began. */
static void guess_backwards(
	struct dating *dating, const struct dating_now *now, int64_t end_us)
{
	for (size_t i = dating->n; i-- > 0;) {
		struct boot *boot = dating->boots[i];
		if (present(boot, now))
			continue;
		if (boot->mark == DP_CLOCK_NONE)
			set(boot, end_us - uptime_us(boot->last_ns), DP_CLOCK_GUESSED);
		if (boot->start_us < end_us)
			end_us = boot->start_us;
	}
}

/* Oldest first: each began when the one before it ended. */
static void guess_forwards(struct dating *dating, const struct dating_now *now)
{
	for (size_t i = 0; i < dating->n; i++) {
		struct boot *boot = dating->boots[i];
		int64_t ran_ns = present(boot, now) ? now->boot_ns : boot->last_ns;
		if (boot->mark == DP_CLOCK_NONE)
			set(boot, dating->floor_us, DP_CLOCK_GUESSED);
		if (boot->start_us + uptime_us(ran_ns) > dating->floor_us)
			dating->floor_us = boot->start_us + uptime_us(ran_ns);
	}
}

void dating_decide(struct dating *dating, const struct dating_now *now)
{
	if (now->mark == DP_CLOCK_NONE) {
		if (now->late)
			guess_forwards(dating, now);
		return;
	}
	int64_t start_us = now->wall_us - now->boot_ns / 1000;
	for (size_t i = 0; i < dating->n; i++) {
		struct boot *boot = dating->boots[i];
		if (present(boot, now) && boot->mark >= DP_CLOCK_GUESSED)
			set(boot, start_us, now->mark);
	}
	guess_backwards(dating, now, start_us);
}

void dating_arrived(struct boot *boot, int64_t boottime_ns, const struct dating_now *now)
{
	if (boot->mark == DP_CLOCK_NONE && now->mark != DP_CLOCK_NONE &&
		!present(boot, now))
		set(boot, now->wall_us - boottime_ns / 1000, DP_CLOCK_GUESSED);
}

int64_t dating_time(const struct boot *boot, int64_t boottime_ns)
{
	int64_t ts_us = boot->start_us + uptime_us(boottime_ns);
	if (ts_us < EARLIEST_US)
		return EARLIEST_US;
	return ts_us < LATEST_US ? ts_us : LATEST_US;
}
