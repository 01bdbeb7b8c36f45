#include "mqtt_connect.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>

#include <mqtt_protocol.h>
#include <openssl/ssl.h>

#define KEEPALIVE_S 30
#define MAX_PACKET_BYTES (8u << 20)
#define NUDGE_SIGNAL SIGUSR1

/* The library sets TLS up at the first connection, and without a lock. */
static pthread_mutex_t tls_setup = PTHREAD_MUTEX_INITIALIZER;

static void nudged(int number)
{
	(void)number; /* its only effect is EINTR */
}

void dp_mqtt_connect_prepare(void)
{
	struct sigaction nudge = {.sa_handler = nudged};
	mosquitto_lib_init();
	sigaction(NUDGE_SIGNAL, &nudge, NULL);
}

/* The context is ours, not the library's: see mqtt_tls.h. */
static int encrypt(struct dp_mqtt_connect *connect)
{
	SSL_CTX *context =
		dp_mqtt_tls_begin(&connect->tls, connect->url->host, connect->files);
	if (context == NULL)
		return MOSQ_ERR_TLS;
	int err = mosquitto_void_option(connect->mosq, MOSQ_OPT_SSL_CTX, context);
	if (err == 0)
		err = mosquitto_int_option(
			connect->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	SSL_CTX_free(context); /* the library has its own hold of it */
	return err;
}

static void connect_now(struct dp_mqtt_connect *connect)
{
	mosquitto_property *properties = NULL;
	int keepalive_s = connect->keepalive_s > 0 ? connect->keepalive_s : KEEPALIVE_S;
	sigset_t nudge;
	sigemptyset(&nudge);
	sigaddset(&nudge, NUDGE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
	if (connect->url->tls)
		pthread_mutex_lock(&tls_setup);
	connect->worker = pthread_self();
	atomic_store(&connect->worker_state, 1);

	mosquitto_property_add_int32(
		&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, connect->session_expiry_s);
	mosquitto_property_add_int32(
		&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, MAX_PACKET_BYTES);
	errno = 0;
	connect->code = mosquitto_connect_bind_v5(connect->mosq, connect->url->host,
		connect->url->port, keepalive_s, NULL, properties);
	connect->error = errno;
	mosquitto_property_free_all(&properties);
	atomic_store(&connect->worker_state, 2);
	if (connect->url->tls)
		pthread_mutex_unlock(&tls_setup);
	pthread_sigmask(SIG_BLOCK, &nudge, NULL);
}

static void connect_work(uv_work_t *work)
{
	struct dp_mqtt_connect *connect = work->data;
	connect->code = connect->url->tls ? encrypt(connect) : MOSQ_ERR_SUCCESS;
	if (connect->code == MOSQ_ERR_SUCCESS)
		connect_now(connect);
}

static void connect_done(uv_work_t *work, int status)
{
	struct dp_mqtt_connect *connect = work->data;
	assert(status == 0); /* nobody cancels it */
	(void)status;
	connect->done(connect->data, connect->code, connect->error);
}

void dp_mqtt_connect_begin(struct dp_mqtt_connect *connect, uv_loop_t *loop)
{
	connect->work.data = connect;
	connect->since_ms = (int64_t)uv_now(loop);
	atomic_store(&connect->worker_state, 0);
	int err = uv_queue_work(loop, &connect->work, connect_work, connect_done);
	assert(err == 0);
	(void)err;
}

void dp_mqtt_connect_nudge(struct dp_mqtt_connect *connect, uv_loop_t *loop, bool hurry)
{
	bool overdue = (int64_t)uv_now(loop) - connect->since_ms > DP_MQTT_CONNECT_MS;
	if ((overdue || hurry) && atomic_load(&connect->worker_state) == 1)
		pthread_kill(connect->worker, NUDGE_SIGNAL);
}
