/*
 * What ingest counts and its statistics say. To add one: a line here, in the order of the
 * statistics, and `c->counts->name++` where it happens.
 */
#ifndef INGEST_COUNTS_H
#define INGEST_COUNTS_H

#include <stdint.h>

#define COUNTS(ONE)                                                                        \
	ONE(messages)                                                                      \
	ONE(readings)                                                                      \
	ONE(duplicates)                                                                    \
	ONE(dead_letters)                                                                  \
	ONE(lost)                                                                          \
	ONE(later)                                                                         \
	ONE(odd_waits)                                                                     \
	ONE(commits)                                                                       \
	ONE(ahead)

struct counts {
#define COUNTS_MEMBER(name) uint64_t name;
	COUNTS(COUNTS_MEMBER)
#undef COUNTS_MEMBER
};

#endif
