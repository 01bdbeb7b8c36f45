/*
 * Is the service well? The running process answers over a Unix socket in RUN_DIR,
 * so a loop that hangs cannot look healthy and nothing is written while nobody asks.
 */
#ifndef DP_HEALTH_H
#define DP_HEALTH_H

#include <uv.h>

struct dp_health {
	uv_pipe_t server;
	/** @return NULL when well, or what is wrong, in one line */
	const char *(*check)(void *data);
	void *data;
	char path[108]; /* of a sockaddr_un */
};

/** @return 0, or -ENAMETOOLONG when RUN_DIR is too long for a socket's address */
int dp_health_path(
	char path[108], const char *run_dir, const char *service, const char *instance);

/**
 * Answer questions on the loop from now on.
 * @return 0 or a negative errno; on failure nothing needs to be closed
 */
int dp_health_start(struct dp_health *health, uv_loop_t *loop, const char *path,
	const char *(*check)(void *data), void *data);

/** Close the socket; the struct must live until the loop has run on. */
void dp_health_stop(struct dp_health *health);

/**
 * `--healthcheck`: ask, print the answer. A service that hangs is given 3 s in all.
 * @return exit code 0 well, 1 not or no answer
 */
int dp_health_ask(const char *path);

#endif
