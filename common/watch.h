/*
 * A socket of a library, watched by the loop. What is watched is a dup() of the descriptor:
 * libraries close theirs early, and open the next one under the same number. On the loop's
 * thread.
 */
#ifndef DP_WATCH_H
#define DP_WATCH_H

#include <stdbool.h>

#include <uv.h>

/**
 * Make a watcher; uv_poll_start() starts it.
 * @param data  the watcher's `data`
 * @return 0 or a negative error of libuv
 */
int dp_watch(uv_loop_t *loop, int fd, void *data, uv_poll_t **out);

/** Close a watcher with its descriptor, and set `*poll` to NULL; NULL is fine. */
void dp_unwatch(uv_poll_t **poll);

/** Read what has arrived and discard it. @return whether the peer has hung up */
bool dp_watch_drain(uv_poll_t *poll);

#endif
