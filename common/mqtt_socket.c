#include "mqtt_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "log.h"

/* A watched descriptor goes with its watcher. */
struct watched {
	uv_poll_t poll;
	int fd;
};

int dp_mqtt_watch(uv_loop_t *loop, struct mosquitto *mosq, void *data, uv_poll_t **out)
{
	struct watched *watched = calloc(1, sizeof(*watched));
	if (watched == NULL)
		dp_log_out_of_memory("a socket's watcher");
	watched->fd = dup(mosquitto_socket(mosq));
	int err =
		watched->fd < 0 ? -errno : uv_poll_init(loop, &watched->poll, watched->fd);
	if (err != 0) {
		if (watched->fd >= 0)
			close(watched->fd);
		free(watched);
		return err;
	}
	watched->poll.data = data;
	*out = &watched->poll;
	return 0;
}

static void watched_closed(uv_handle_t *handle)
{
	struct watched *watched = (struct watched *)handle;
	close(watched->fd);
	free(watched);
}

void dp_mqtt_unwatch(uv_poll_t **poll)
{
	if (*poll != NULL)
		uv_close((uv_handle_t *)*poll, watched_closed);
	*poll = NULL;
}

bool dp_mqtt_drain(uv_poll_t *poll)
{
	char bytes[512];
	ssize_t n;
	do {
		n = recv(((struct watched *)poll)->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

bool dp_mqtt_wants_write(struct mosquitto *mosq)
{
	if (!mosquitto_want_write(mosq))
		return false;
	/* While TLS waits for its peer the library always wants to write: 95% CPU. */
	SSL *ssl = mosquitto_ssl_get(mosq);
	return ssl == NULL || SSL_is_init_finished(ssl) || SSL_in_before(ssl) ||
	       SSL_want_write(ssl);
}

bool dp_mqtt_decrypted(struct mosquitto *mosq)
{
	SSL *ssl = mosquitto_ssl_get(mosq);
	return ssl != NULL && SSL_pending(ssl) > 0;
}
