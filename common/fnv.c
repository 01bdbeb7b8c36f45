#include "fnv.h"

#define PRIME 16777619u

uint32_t dp_fnv(uint32_t sum, const void *at, size_t len)
{
	const uint8_t *bytes = at;
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * PRIME;
	return sum;
}

uint32_t dp_fnv_number(uint32_t sum, uint64_t number)
{
	uint8_t bytes[8];
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(number >> 8 * i);
	return dp_fnv(sum, bytes, sizeof(bytes));
}
