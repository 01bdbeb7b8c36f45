#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

/* The descriptor goes with its watcher. */
struct watch {
	uv_poll_t poll;
	int fd;
};

int dp_watch(uv_loop_t *loop, int fd, void *data, uv_poll_t **out)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (watch == NULL)
		dp_log_out_of_memory("a socket's watcher");
	watch->fd = dup(fd);
	int err = watch->fd < 0 ? -errno : uv_poll_init(loop, &watch->poll, watch->fd);
	if (err != 0) {
		if (watch->fd >= 0)
			close(watch->fd);
		free(watch);
		return err;
	}
	watch->poll.data = data;
	*out = &watch->poll;
	return 0;
}

static void watch_closed(uv_handle_t *handle)
{
	free(handle);
}

void dp_unwatch(uv_poll_t **poll)
{
	struct watch *watch = (struct watch *)*poll;
	*poll = NULL;
	if (watch == NULL)
		return;
	uv_close((uv_handle_t *)&watch->poll, watch_closed);
	close(watch->fd); /* libuv has let go of it */
}

bool dp_watch_drain(uv_poll_t *poll)
{
	char bytes[512];
	ssize_t n;
	do {
		n = recv(((struct watch *)poll)->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}
