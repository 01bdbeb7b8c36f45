#include "mqtt_handle.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "log.h"

#define QUOTA 65535

/* How a TLS record with an alert begins. In MQTT it would be a CONNECT with bad flags. */
#define TLS_ALERT 21
#define TLS_MAJOR 3

int dp_mqtt_handle(struct mosquitto **out, const struct dp_bus_options *options,
	const struct dp_mqtt_url *url, void *data)
{
	int err = 0;
	struct mosquitto *mosq =
		mosquitto_new(options->client_id, options->clean_start, data);
	if (mosq == NULL)
		dp_log_out_of_memory("an MQTT connection");
	*out = mosq;
	mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
	/* The windows are the callers' and the broker's to bound, not the library's 20. */
	mosquitto_int_option(mosq, MOSQ_OPT_RECEIVE_MAXIMUM, QUOTA);
	mosquitto_int_option(mosq, MOSQ_OPT_SEND_MAXIMUM, QUOTA);
	/*
	 * A handle for threads queues its packets, PUBACKs too, until the next
	 * mosquitto_loop_write(); others write at once. Not documented: a test that
	 * kills ingest between the two pins it. For hold_acks it stays so; others have
	 * only CONNECT queued, so that all that is said in TLS is said on the loop.
	 */
	mosquitto_threaded_set(mosq, true);
	if (url->user[0] != '\0')
		err = mosquitto_username_pw_set(
			mosq, url->user, url->password[0] != '\0' ? url->password : NULL);
	if (err == 0 && options->will_topic != NULL)
		err = mosquitto_will_set_v5(mosq, options->will_topic,
			(int)strlen(options->will_payload), options->will_payload, 1, true,
			NULL);
	return err;
}

void dp_mqtt_cork(struct mosquitto *mosq, bool corked)
{
	const int on = corked;
	int fd = mosquitto_socket(mosq);
	/* Where it fails there are more segments, and nothing else is different. */
	if (fd >= 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
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

bool dp_mqtt_answers_in_tls(struct mosquitto *mosq)
{
	unsigned char record[3];
	ssize_t n = recv(
		mosquitto_socket(mosq), record, sizeof(record), MSG_PEEK | MSG_DONTWAIT);
	return n == (ssize_t)sizeof(record) && record[0] == TLS_ALERT &&
	       record[1] == TLS_MAJOR;
}

/* What a socket says whose other side is gone. @return a negative errno */
static int socket_error(int error)
{
	bool gone = error == EPIPE || error == ETIMEDOUT || error == EHOSTUNREACH;
	if (gone)
		return -ENOTCONN;
	return error != 0 ? -error : -EIO;
}

int dp_mqtt_error(int code)
{
	switch (code) {
	case MOSQ_ERR_SUCCESS:
		return 0;
	case MOSQ_ERR_NOMEM:
		return -ENOMEM;
	case MOSQ_ERR_NO_CONN:
	case MOSQ_ERR_CONN_LOST:
	case MOSQ_ERR_CONN_PENDING:
	case MOSQ_ERR_CONN_REFUSED:
	case MOSQ_ERR_TLS: /* while sending: whoever killed the broker ended it as well */
		return -ENOTCONN;
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return -EMSGSIZE;
	case MOSQ_ERR_ERRNO:
		return socket_error(errno);
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_MALFORMED_UTF8:
	case MOSQ_ERR_DUPLICATE_PROPERTY:
		return -EINVAL;
	case MOSQ_ERR_NOT_SUPPORTED:
	case MOSQ_ERR_QOS_NOT_SUPPORTED:
	case MOSQ_ERR_RETAIN_NOT_SUPPORTED:
		return -ENOTSUP;
	default:
		dp_log(DP_LOG_ERROR, "the MQTT library failed", "code=%d error=\"%s\"",
			code, mosquitto_strerror(code));
		return -EREMOTEIO;
	}
}
