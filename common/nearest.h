/* What somebody may have meant who mistyped a word. Pure. */
#ifndef DP_NEAREST_H
#define DP_NEAREST_H

#include <stddef.h>

/**
 * How many letters have to be added, dropped, changed or swapped with their neighbour to
 * turn one word into the other. A word of more than 31 letters is far from every other.
 */
unsigned dp_nearest_distance(const char *a, const char *b);

/**
 * @return the closest candidate, if no more than one letter in three differs; else NULL
 */
const char *dp_nearest(const char *word, const char *const *candidates, size_t n);

#endif
