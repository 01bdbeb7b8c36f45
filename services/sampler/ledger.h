/*
 * A test aid: LEDGER names a file to which the sampler appends what it sampled and
 * what became of it, so that rows at the centre can be compared with it. Lines:
 *
 *   run <stream>
 *   reading <seq> <sensor> <ts_us> <quantity>=<value> ...
 *   accepted <first> <count>
 *   dropped <first> <count>      the ring was full
 *   unaccepted <first> <count>   when the sampler stopped
 */
#ifndef SAMPLER_LEDGER_H
#define SAMPLER_LEDGER_H

#include <stdint.h>

#include "reading.h"

/** fd -1: there is no ledger, every call does nothing. */
struct ledger {
	int fd;
};

/** @return 0 or a negative errno; path NULL opens none */
int ledger_open(struct ledger *ledger, const char *path, const char *stream);
void ledger_reading(struct ledger *ledger, uint64_t seq, const struct dp_reading *reading);
/** @param word  "accepted", "dropped" or "unaccepted" */
void ledger_range(struct ledger *ledger, const char *word, uint64_t first, uint64_t count);
void ledger_close(struct ledger *ledger);

#endif
