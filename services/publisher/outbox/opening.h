/*
 * The outbox's file: whose it is, opening it, and setting it aside when it is damaged. What
 * waits for the disk runs on the worker; what is said of it, on the loop. Between the
 * two it is in one hand at a time, the queue's (queue.h).
 */
#ifndef PUBLISHER_OPENING_H
#define PUBLISHER_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "../streams/streams.h"
#include "clock.h"
#include "outbox.h"

/** Zeroed but for the first three; lock is -1. Only opening.c writes it. */
struct opening {
	const char *path;
	const struct dp_clock *clock;
	int lock;	      /**< a descriptor; negative: not had */
	int64_t retry_ms;     /**< when to try again to lock or open it */
	int64_t wait_ms;      /**< how long, after the next failure */
	bool failed;	      /**< since it was last open */
	int error;	      /**< the last error */
	bool set_aside;	      /**< the damaged file is, a new one is not begun */
	struct streams found; /**< what the file held, until somebody has it */
	uint64_t given_up;    /**< readings in it that could not be used */
	struct outbox_usage usage;
};

/**
 * Become the one user of the outbox.
 * @return 0; -EWOULDBLOCK another publisher has it, try again at retry_ms; other errno
 */
int opening_lock(struct opening *opening, int64_t now_ms);

/**
 * On the worker: open the file, or begin it anew when it is damaged, and read what it
 * holds into `found`. @return 0 and *out; errno and nothing is open or found
 */
int opening_open(struct opening *opening, struct outbox **out);

/**
 * On the worker: close a damaged file, set it aside and begin a new one.
 * @param outbox  closed, and NULL unless there is a new one
 * @return 0 or errno
 */
int opening_replace(struct opening *opening, struct outbox **outbox);

/** What either returned, on the loop: logged, and when to try again. */
void opening_succeeded(struct opening *opening);
void opening_failed(struct opening *opening, const char *what, int err, int64_t now_ms);

/** Whether an error passes by itself, or may. */
bool opening_may_pass(int err);

/** Let the file go. */
void opening_finish(struct opening *opening);

#endif
