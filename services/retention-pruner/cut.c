#include "cut.h"

#define ROUNDS 2 /* that gain nothing */
#define PARTS 64 /* of what is above the floor, at least one goes */

const char cut_floor_reached[] = "too large still, and what is left is too young to go";

int64_t cut_ahead_us(int64_t now_us, int64_t last_run_us)
{
	return now_us < last_run_us ? INT64_MAX : now_us + CUT_DAY_US;
}

bool cut_gains(struct cut_gain *gain, int64_t over)
{
	bool less = !gain->begun || over < gain->least_over;
	gain->begun = true;
	gain->rounds = less ? 0 : gain->rounds + 1;
	if (less)
		gain->least_over = over;
	return gain->rounds < ROUNDS;
}

int64_t cut_at(int64_t oldest_us, int64_t floor_us, double share)
{
	int64_t least = (floor_us - oldest_us) / PARTS + 1;
	int64_t more = (int64_t)((double)(floor_us - oldest_us) * share);
	int64_t at = oldest_us + (more > least ? more : least);
	return at < floor_us ? at : floor_us;
}
