#include "stride.h"

#define PAUSE_MAX_MS 2000

static int64_t within(const struct stride *stride, int64_t amount)
{
	int64_t most = stride->most;
	if (stride->ceiling > 0 && stride->ceiling < most)
		most = stride->ceiling;
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
	stride->amount = within(stride, stride->amount / 2);
	stride->ceiling = stride->amount;
}

bool stride_may_shrink(const struct stride *stride)
{
	return stride->amount > stride->least;
}

/* Where steps at the ceiling go quickly, it was lower than it has to be. */
static void raise(struct stride *stride)
{
	if (stride->ceiling == 0 || stride->amount < stride->ceiling)
		return;
	stride->ceiling += stride->ceiling / 8 + 1;
	if (stride->ceiling >= stride->most)
		stride->ceiling = 0;
}

void stride_took(struct stride *stride, int64_t took_us)
{
	int64_t amount = stride->amount;
	if (took_us > stride->us) {
		amount = amount * stride->us / took_us;
	} else if (took_us < stride->us / 2) {
		raise(stride);
		amount += amount / 4 + 1;
	}
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
