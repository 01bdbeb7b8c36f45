/*
 * Timers of the loop, and what it calls once an iteration; on its thread. libuv fails only
 * on a caller's bug (no callback, a handle that is being closed): so success is asserted,
 * and nothing is returned.
 */
#ifndef DP_TIMER_H
#define DP_TIMER_H

#include <assert.h>

#include <uv.h>

/** @param timer  the caller's, until uv_close() has called back  @param data  timer->data
 */
static inline void timer_init(uv_loop_t *loop, uv_timer_t *timer, void *data)
{
	int err = uv_timer_init(loop, timer);
	assert(err == 0);
	(void)err;
	timer->data = data;
}

/** Call first after ms and then each every_ms, whatever it was to call before. */
static inline void timer_repeat(
	uv_timer_t *timer, uv_timer_cb call, uint64_t ms, uint64_t every_ms)
{
	int err = uv_timer_start(timer, call, ms, every_ms);
	assert(err == 0);
	(void)err;
}

/** Call once after ms, whatever it was to call before. */
static inline void timer_start(uv_timer_t *timer, uv_timer_cb call, uint64_t ms)
{
	timer_repeat(timer, call, ms, 0);
}

/** Call once an iteration, before the loop waits. @param prepare, data  as above */
static inline void prepare_start(
	uv_loop_t *loop, uv_prepare_t *prepare, uv_prepare_cb call, void *data)
{
	int err = uv_prepare_init(loop, prepare);
	prepare->data = data;
	if (err == 0)
		err = uv_prepare_start(prepare, call);
	assert(err == 0);
	(void)err;
}

#endif
