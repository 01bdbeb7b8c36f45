/* Checksums of stored rows: FNV-1a, 32 bits. Any one flipped bit gives another one. Pure.
 */
#ifndef DP_FNV_H
#define DP_FNV_H

#include <stddef.h>
#include <stdint.h>

#define DP_FNV_BASIS 2166136261u

/** Go on with more bytes; begin with DP_FNV_BASIS. */
uint32_t dp_fnv(uint32_t sum, const void *at, size_t len);

/** The same with a number, by value: equal on boards of either byte order. */
uint32_t dp_fnv_number(uint32_t sum, uint64_t number);

#endif
