/* What somebody may have meant who mistyped a word. Pure. */
#ifndef DP_NEAREST_H
#define DP_NEAREST_H

#include <stddef.h>

/** Letters to add, drop, change or swap with their neighbour; words beyond 31 are far. */
unsigned dp_nearest_distance(const char *a, const char *b);

/** The candidate that is closest, if it is close: one letter in each three. Or NULL. */
const char *dp_nearest(const char *word, const char *const *candidates, size_t n);

#endif
