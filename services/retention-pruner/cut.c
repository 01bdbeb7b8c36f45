#include "cut.h"

#define PARTS 64 /* of what is above the floor, at least one goes */

const char cut_floor_reached[] = "too large still, and what is left is too young to go";

int64_t cut_at(int64_t oldest_us, int64_t floor_us, double share)
{
	int64_t least = (floor_us - oldest_us) / PARTS + 1;
	int64_t more = (int64_t)((double)(floor_us - oldest_us) * share);
	int64_t at = oldest_us + (more > least ? more : least);
	return at < floor_us ? at : floor_us;
}
