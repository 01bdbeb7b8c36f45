#include "stride.h"

#define PAUSE_MAX_MS 2000

void stride_took(struct stride *stride, int64_t took_us)
{
	int64_t amount = stride->amount;
	if (took_us > stride->us)
		amount = amount * stride->us / took_us;
	else if (took_us < stride->us / 2)
		amount += amount / 4 + 1;
	if (amount < stride->amount / 4)
		amount = stride->amount / 4;
	if (amount < stride->least)
		amount = stride->least;
	stride->amount = amount < stride->most ? amount : stride->most;
}

int64_t stride_pause_ms(int64_t took_us, int64_t least_ms)
{
	int64_t pause_ms = took_us / 250;
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	return pause_ms > least_ms ? pause_ms : least_ms;
}
