/* Timers of the loop. That libuv takes them is asserted: it refuses a caller's bug only. */
#ifndef INGEST_TIMER_H
#define INGEST_TIMER_H

#include <assert.h>

#include <uv.h>

static inline void timer_init(uv_loop_t *loop, uv_timer_t *timer, void *data)
{
	int err = uv_timer_init(loop, timer);
	assert(err == 0);
	(void)err;
	timer->data = data;
}

/** Call once after so long, whatever it was to call before. */
static inline void timer_start(uv_timer_t *timer, uv_timer_cb call, uint64_t ms)
{
	int err = uv_timer_start(timer, call, ms, 0);
	assert(err == 0);
	(void)err;
}

#endif
