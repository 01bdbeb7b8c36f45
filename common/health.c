#include "health.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define BACKLOG 8
#define ANSWER_MAX 512
#define ASK_TIMEOUT_MS 3000
#define CONNECT_AGAIN_MS 50

/* One question: the connection and the answer on its way. */
struct asker {
	uv_pipe_t pipe;
	uv_write_t write;
	char answer[ANSWER_MAX];
};

int dp_health_path(
	char path[108], const char *run_dir, const char *service, const char *instance)
{
	int n = snprintf(path, 108, "%s/%s-%s.health", run_dir, service, instance);
	return n < 0 || n >= 108 ? -ENAMETOOLONG : 0;
}

static void asker_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void answered(uv_write_t *write, int status)
{
	(void)status; /* whoever asked and went away needs no answer */
	struct asker *asker = write->data;
	uv_close((uv_handle_t *)&asker->pipe, asker_closed);
}

static void on_question(uv_stream_t *server, int status)
{
	struct dp_health *health = server->data;
	if (status != 0)
		return;
	struct asker *asker = calloc(1, sizeof(*asker));
	if (asker == NULL)
		dp_log_out_of_memory("a health question");
	uv_pipe_init(server->loop, &asker->pipe, 0);
	asker->pipe.data = asker;
	asker->write.data = asker;
	const char *wrong = health->check(health->data);
	int n = snprintf(asker->answer, sizeof(asker->answer), "%s%s\n",
		wrong == NULL ? "ok" : "unhealthy: ", wrong == NULL ? "" : wrong);
	unsigned len = (unsigned)n < sizeof(asker->answer) ? (unsigned)n
							   : sizeof(asker->answer) - 1;
	uv_buf_t buf = uv_buf_init(asker->answer, len);
	if (uv_accept(server, (uv_stream_t *)&asker->pipe) != 0 ||
		uv_write(&asker->write, (uv_stream_t *)&asker->pipe, &buf, 1, answered) !=
			0)
		uv_close((uv_handle_t *)&asker->pipe, asker_closed);
}

static void server_closed(uv_handle_t *handle)
{
	(void)handle;
}

int dp_health_start(struct dp_health *health, uv_loop_t *loop, const char *path,
	const char *(*check)(void *data), void *data)
{
	*health = (struct dp_health){.check = check, .data = data};
	memcpy(health->path, path, strlen(path) + 1);
	/* What a killed run left behind. */
	unlink(path);
	uv_pipe_init(loop, &health->server, 0);
	health->server.data = health;
	int err = uv_pipe_bind(&health->server, path);
	if (err == 0)
		err = uv_listen((uv_stream_t *)&health->server, BACKLOG, on_question);
	if (err != 0)
		uv_close((uv_handle_t *)&health->server, server_closed);
	return err;
}

void dp_health_stop(struct dp_health *health)
{
	uv_close((uv_handle_t *)&health->server, server_closed);
	unlink(health->path);
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A full queue cannot be waited for in poll(): a Unix socket says EAGAIN, try again. */
static int connect_until(int fd, const struct sockaddr_un *address, int64_t deadline_ms)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, CONNECT_AGAIN_MS);
	}
	return 0;
}

/* Until the service has closed. @return bytes read, or a negative errno */
static ssize_t read_until(int fd, char *answer, size_t size, int64_t deadline_ms)
{
	size_t len = 0;
	while (len < size) {
		struct pollfd wanted = {.fd = fd, .events = POLLIN};
		int64_t left_ms = deadline_ms - now_ms();
		if (left_ms <= 0)
			return -ETIMEDOUT;
		if (poll(&wanted, 1, (int)left_ms) < 0 && errno != EINTR)
			return -errno;
		ssize_t n = read(fd, answer + len, size - len);
		if (n == 0)
			break;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)len;
}

/* Within one deadline for all, as a service that hangs may do so anywhere. */
static int ask(const char *path, char *answer, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int64_t deadline_ms = now_ms() + ASK_TIMEOUT_MS;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, path, strlen(path) + 1);
	ssize_t n = connect_until(fd, &address, deadline_ms);
	if (n == 0)
		n = read_until(fd, answer, size - 1, deadline_ms);
	close(fd);
	if (n < 0)
		return (int)n;
	answer[n] = '\0';
	return 0;
}

int dp_health_ask(const char *path)
{
	char answer[ANSWER_MAX];
	int err = ask(path, answer, sizeof(answer));
	if (err != 0) {
		printf("unhealthy: no answer at %s: %s\n", path, strerror(-err));
		return EXIT_FAILURE;
	}
	fputs(answer, stdout);
	return strcmp(answer, "ok\n") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
