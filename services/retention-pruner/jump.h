/* What makes a run ask before it deletes. Pure. */
#ifndef PRUNER_JUMP_H
#define PRUNER_JUMP_H

#include <stdbool.h>
#include <stdint.h>

/** When a run was, by the wall clock and since the boot of an id. */
struct jump_moment {
	int64_t wall_us; /**< 0: there was none */
	int64_t boot_us;
	const char *boot_id; /**< as jump_boot() writes it; empty: unknown */
};

#define JUMP_BOOT_MAX 40

/** The boot, and whether the kernel said that the wall clock was synchronised. */
void jump_boot(char text[JUMP_BOOT_MAX], const char *boot_id, bool synchronised);

/**
 * Whether the wall clock was set forward between two runs, by more than does no harm. Only
 * a clock that is synchronised now and was not before was right to step: not to know
 * whether it is synchronised excuses nothing.
 */
bool jump_seen(const struct jump_moment *last, const struct jump_moment *now);

/* Reasons, as the report says them. */
extern const char jump_stepped[], jump_too_much[], jump_size_gone[];

#endif
