#include "stride.h"

#define PAUSE_MAX_MS 2000

/* A step is never so small that only calls take time, but for what is known to be too much.
 */
static int64_t within(const struct stride *stride, int64_t amount)
{
	int64_t most = stride->ceiling > 0 ? stride->ceiling : stride->most;
	if (amount < stride->least)
		amount = stride->least;
	return amount < most ? amount : most;
}

void stride_begin(struct stride *stride, const struct stride *initial)
{
	int64_t ceiling = stride->ceiling;
	*stride = *initial;
	stride->ceiling = ceiling;
	stride->amount = within(stride, stride->amount);
}

void stride_gave_up(struct stride *stride)
{
	if (stride->amount > 1)
		stride->amount /= 2;
	stride->ceiling = stride->amount;
}

void stride_raise(struct stride *stride)
{
	if (stride->ceiling == 0 || stride->amount < stride->ceiling)
		return;
	stride->ceiling += stride->ceiling / 8 + 1;
	if (stride->ceiling >= stride->most)
		stride->ceiling = 0;
	stride->amount = within(stride, stride->amount + stride->amount / 8 + 1);
}

void stride_took(struct stride *stride, int64_t took_us)
{
	int64_t amount = stride->amount;
	if (took_us > stride->us)
		amount = amount * stride->us / took_us;
	else if (took_us < stride->us / 2)
		amount += amount / 4 + 1;
	if (amount < stride->amount / 4)
		amount = stride->amount / 4;
	stride->amount = within(stride, amount);
}

int64_t stride_pause_ms(int64_t took_us, int64_t least_ms)
{
	int64_t pause_ms = took_us / 250;
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	return pause_ms > least_ms ? pause_ms : least_ms;
}
