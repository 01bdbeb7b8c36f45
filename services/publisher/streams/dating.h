/*
 * When the boots of this board began. A reading measured while the wall clock was not
 * plausible carries the time since boot and the boot's id instead; it gets its time
 * here, once the clock of the same boot is plausible, or by a guess. Pure.
 */
#ifndef PUBLISHER_DATING_H
#define PUBLISHER_DATING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

/** A boot of which readings without a time are kept. */
struct boot {
	char id[DP_BOOT_ID_LEN + 1];
	int64_t row;	 /**< in the outbox; 0 when it has none */
	int64_t last_ns; /**< since boot, of the latest of these readings */
	/** What its times are worth; DP_CLOCK_NONE as long as there are none. */
	enum dp_clock_mark mark;
	int64_t start_us; /**< wall clock when it began, unless mark is DP_CLOCK_NONE */
	bool due;	  /**< decided, and the outbox does not know */
};

struct dating {
	struct boot **boots; /**< oldest first; each stays where it is */
	size_t n;
	int64_t floor_us; /**< nothing that is guessed without a clock lies before it */
};

/** What is known now. */
struct dating_now {
	const char *boot_id;
	int64_t boot_ns;
	int64_t wall_us;
	enum dp_clock_mark mark; /**< of the wall clock */
	bool late;		 /**< CLOCK_WAIT_MAX has passed: guess what is not known */
};

/** The boot of that id, added as the youngest when it is new; NULL when out of memory. */
struct boot *dating_boot(struct dating *dating, const char *id);
void dating_finish(struct dating *dating);

/** Note that a reading of the boot is kept. */
void dating_note(struct boot *boot, int64_t boottime_ns);

/**
 * Decide what can be decided.
 *
 * With a plausible clock the present boot's beginning is known, and a guess is
 * replaced; an earlier boot is assumed to have ended when the next one began. Without
 * one, and late, the boots are laid out one after the other from the floor on.
 */
void dating_decide(struct dating *dating, const struct dating_now *now);

/**
 * A reading of another board's boot has just come in: it was measured now, as far as
 * anyone knows. Only with a plausible clock.
 */
void dating_arrived(struct boot *boot, int64_t boottime_ns, const struct dating_now *now);

/** When a reading of a decided boot was measured, within what can be sent. */
int64_t dating_time(const struct boot *boot, int64_t boottime_ns);

#endif
