#include "plain.h"

#include <string.h>

#define FRAME_BITS 40
#define THRESHOLD_NS 100000

/* first_ns: the edge before the first bit's */
static bool decode(const int64_t *first_ns, uint8_t bytes[5])
{
	memset(bytes, 0, 5);
	for (int i = 0; i < FRAME_BITS; i++) {
		if (first_ns[i + 1] - first_ns[i] > THRESHOLD_NS)
			bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	}
	return ((bytes[0] + bytes[1] + bytes[2] + bytes[3]) & 0xff) == bytes[4];
}

bool plain_last(const int64_t *fall_ns, size_t count, uint8_t bytes[5])
{
	return count > FRAME_BITS && decode(fall_ns + count - FRAME_BITS - 1, bytes);
}

bool plain_after_response(const int64_t *fall_ns, size_t count, uint8_t bytes[5])
{
	return count > FRAME_BITS + 1 && decode(fall_ns + 1, bytes);
}
