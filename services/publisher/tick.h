/*
 * What is gathered is sent at multiples of SEND_EVERY on the loop's clock, whatever it is
 * and whenever it came: so all of it goes together, and a radio wakes up once.
 */
#ifndef PUBLISHER_TICK_H
#define PUBLISHER_TICK_H

#include <stdint.h>

/** When what came at `ms` is sent. @param every_ms  0: at once */
static inline int64_t tick_after(int64_t ms, int64_t every_ms)
{
	return every_ms == 0 ? ms : (ms / every_ms + 1) * every_ms;
}

#endif
