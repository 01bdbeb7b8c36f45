/*
 * Longer than other files, as it alone knows libmosquitto and its traps: names are
 * resolved and TCP waits on the work queue; the polled descriptor is a dup(), since the
 * library closes its own early; a handle serves one connection, so that nothing of the
 * last one is sent again behind the caller's back.
 */
#include "bus.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>

#include "backoff.h"
#include "in_flight.h"
#include "log.h"
#include "random.h"
#include "refusals.h"
#include "subscriptions.h"
#include "url.h"

#define KEEPALIVE_S 30
#define MISC_PERIOD_MS 5000
#define HANDSHAKE_TIMEOUT_MS 10000
#define NUDGE_PERIOD_MS 200
#define LEAVE_MS 500
#define YIELD_FIRST_MS 30000
#define YIELD_LIMIT_MS 600000
#define MAX_PACKET_BYTES (8u << 20)
#define MAX_PROPERTIES 16
#define QUOTA 65535
#define PACKETS_A_TURN 1000
#define NUDGE_SIGNAL SIGUSR1

enum bus_state {
	BUS_WAITING,	/* for the next attempt */
	BUS_CONNECTING, /* the work queue has the handle, nobody else may touch it */
	BUS_HANDSHAKE,	/* TLS and CONNACK */
	BUS_UP,
	BUS_LEAVING, /* DISCONNECT is on its way or out */
	BUS_CLOSED,
};

struct dp_bus {
	struct dp_bus_options options;
	struct dp_mqtt_url url;
	uv_loop_t *loop;
	struct mosquitto *mosq;
	enum bus_state state;
	bool paused;
	bool held; /* hold_acks: a group of messages waits for dp_bus_release() */
	bool lost; /* the library said so; acted on when its call has returned */
	bool closing;
	bool attempted; /* an attempt has failed since the last connection: do not log each
			 */
	unsigned depth; /* calls into the library under way on the loop thread */
	int refused;	/* CONNACK's reason code */
	char trouble[512]; /* why it is down, or what is not granted */
	struct dp_backoff backoff;
	struct dp_subscriptions subscriptions;
	struct dp_in_flight in_flight; /* with on_refused */
	struct dp_refusals refusals;
	int64_t yield_ms; /* the next back-off when somebody takes our name */
	uint64_t random;
	uv_timer_t timer; /* back-off, handshake or housekeeping, by state */
	uv_poll_t *poll;  /* on a dup() of the socket: the library closes its own early */
	uv_work_t work;
	int connect_result;
	int connect_errno;
	int64_t connect_since_ms, up_since_ms;
	pthread_t worker;
	atomic_int worker_state; /* 0 not yet in connect, 1 in it, 2 done */
	void (*closed)(void *data);
};

/* A polled descriptor goes with its handle. */
struct watched {
	uv_poll_t poll;
	int fd;
};

static void begin_connect(struct dp_bus *bus);
static void settle(struct dp_bus *bus);

/* libmosquitto's codes stop here. */
static int translate(int code)
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
		return -ENOTCONN;
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return -EMSGSIZE;
	case MOSQ_ERR_ERRNO:
		return errno != 0 ? -errno : -EIO;
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

static void set_trouble(struct dp_bus *bus, const char *what, const char *detail)
{
	snprintf(bus->trouble, sizeof(bus->trouble), "%s at %s:%d%s%s", what, bus->url.host,
		bus->url.port, detail[0] != '\0' ? ": " : "", detail);
}

static bool wants_write(struct dp_bus *bus)
{
	if (!mosquitto_want_write(bus->mosq))
		return false;
	/* While TLS waits for its peer the library always wants to write: 95% CPU. */
	SSL *ssl = mosquitto_ssl_get(bus->mosq);
	return ssl == NULL || SSL_is_init_finished(ssl) || SSL_in_before(ssl) ||
	       SSL_want_write(ssl);
}

static bool reads(const struct dp_bus *bus)
{
	return !bus->held && (!bus->paused || bus->state != BUS_UP);
}

/* What TLS has decrypted is no longer in the socket: nothing will say that it is there. */
static bool decrypted(const struct dp_bus *bus)
{
	SSL *ssl = mosquitto_ssl_get(bus->mosq);
	return ssl != NULL && SSL_pending(ssl) > 0;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void update_poll(struct dp_bus *bus)
{
	if (bus->poll == NULL)
		return;
	int events = reads(bus) ? UV_READABLE : 0;
	if (!bus->held && (wants_write(bus) || (reads(bus) && decrypted(bus))))
		events |= UV_WRITABLE;
	/* Also while nothing is read the end of the connection must be seen. */
	uv_poll_start(bus->poll, events != 0 ? events : UV_DISCONNECT, on_ready);
}

static void watched_closed(uv_handle_t *handle)
{
	struct watched *watched = (struct watched *)handle;
	close(watched->fd);
	free(watched);
}

static void stop_poll(struct dp_bus *bus)
{
	if (bus->poll == NULL)
		return;
	uv_close((uv_handle_t *)bus->poll, watched_closed);
	bus->poll = NULL;
}

static int start_poll(struct dp_bus *bus)
{
	struct watched *watched = calloc(1, sizeof(*watched));
	if (watched == NULL)
		dp_log_out_of_memory("a socket's watcher");
	watched->fd = dup(mosquitto_socket(bus->mosq));
	int err = watched->fd < 0 ? -errno
				  : uv_poll_init(bus->loop, &watched->poll, watched->fd);
	if (err != 0) {
		if (watched->fd >= 0)
			close(watched->fd);
		free(watched);
		return err;
	}
	watched->poll.data = bus;
	bus->poll = &watched->poll;
	return 0;
}

static void drop_handle(struct dp_bus *bus)
{
	stop_poll(bus);
	mosquitto_destroy(bus->mosq);
	bus->mosq = NULL;
	dp_in_flight_clear(&bus->in_flight);
}

static void on_backoff(uv_timer_t *timer)
{
	begin_connect(timer->data);
}

/* The connection is gone or did not come about: try again later. */
static void retry_later(struct dp_bus *bus)
{
	bool was_up = bus->state == BUS_UP;
	drop_handle(bus);
	bus->state = BUS_WAITING;
	bus->lost = false;
	bus->held = false;
	if (was_up || !bus->attempted)
		dp_log(DP_LOG_WARN,
			was_up ? "connection lost, trying again"
			       : "cannot connect, trying again",
			"reason=\"%s\"", bus->trouble);
	bus->attempted = true;
	int64_t up_ms = was_up ? (int64_t)uv_now(bus->loop) - bus->up_since_ms : 0;
	int64_t wait_ms = dp_backoff_wait(&bus->backoff, up_ms, &bus->random);
	dp_log(DP_LOG_DEBUG, "waiting before the next attempt", "wait_ms=%lld",
		(long long)wait_ms);
	uv_timer_start(&bus->timer, on_backoff, (uint64_t)wait_ms, 0);
	if (was_up)
		bus->options.on_disconnect(bus->options.data);
}

static void timer_closed(uv_handle_t *handle)
{
	struct dp_bus *bus = handle->data;
	void (*closed)(void *) = bus->closed;
	void *data = bus->options.data;
	dp_subscriptions_finish(&bus->subscriptions);
	free(bus);
	if (closed != NULL)
		closed(data);
}

static void finish_close(struct dp_bus *bus)
{
	bus->state = BUS_CLOSED;
	drop_handle(bus);
	uv_close((uv_handle_t *)&bus->timer, timer_closed);
}

static void on_leave_timeout(uv_timer_t *timer)
{
	finish_close(timer->data);
}

/* What the broker still sends is read until it hangs up. */
static void on_leaving(uv_poll_t *poll, int status, int events)
{
	char bytes[512];
	ssize_t n;
	(void)events;
	do {
		n = recv(((struct watched *)poll)->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (n > 0);
	if (status < 0 || n == 0 || (errno != EAGAIN && errno != EINTR))
		finish_close(poll->data);
}

/*
 * To close over unread bytes resets the connection, and the broker may never read what we
 * sent last. The library's descriptor closes with its DISCONNECT, ours does not.
 */
static void go_on_leaving(struct dp_bus *bus)
{
	bool out = mosquitto_socket(bus->mosq) < 0;
	if (bus->lost && !out)
		finish_close(bus);
	else if (!out && wants_write(bus))
		/* Nothing is read: it would be acknowledged and lost. */
		uv_poll_start(bus->poll, UV_WRITABLE, on_ready);
	else
		uv_poll_start(bus->poll, UV_READABLE, on_leaving);
}

/* After each call into the library: what it said is acted on here, not within it. */
static void settle(struct dp_bus *bus)
{
	if (bus->depth > 0 || bus->state == BUS_CONNECTING || bus->state == BUS_CLOSED)
		return;
	if (bus->state == BUS_LEAVING)
		go_on_leaving(bus);
	else if (bus->closing)
		finish_close(bus);
	else if (bus->lost)
		retry_later(bus);
	else
		update_poll(bus);
}

static void check_result(struct dp_bus *bus, int code)
{
	if (code == MOSQ_ERR_SUCCESS)
		return;
	if (!bus->lost && bus->refused == 0)
		set_trouble(bus, "connection lost",
			code == MOSQ_ERR_ERRNO ? strerror(errno)
					       : mosquitto_strerror(code));
	bus->lost = true;
}

/*
 * The library reads one packet a call: go on while there is more, up to a limit. When it
 * found no whole packet, its last read has left EAGAIN (as a write of a callback may have);
 * to ask the kernel before each call costs more than the call.
 */
static int read_packets(struct dp_bus *bus)
{
	int code;
	unsigned n = 0;
	do {
		errno = 0;
		code = mosquitto_loop_read(bus->mosq, 1);
	} while (code == MOSQ_ERR_SUCCESS && !bus->lost && !bus->closing && !bus->paused &&
		 ++n < PACKETS_A_TURN && (errno != EAGAIN || decrypted(bus)));
	return code;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct dp_bus *bus = poll->data;
	int code = MOSQ_ERR_SUCCESS;
	bus->depth++;
	if (status < 0 || (events & UV_DISCONNECT) != 0)
		code = MOSQ_ERR_CONN_LOST;
	if (code == MOSQ_ERR_SUCCESS &&
		((events & UV_READABLE) != 0 || (reads(bus) && decrypted(bus))))
		code = read_packets(bus);
	if (code == MOSQ_ERR_SUCCESS && !bus->lost && !bus->held && wants_write(bus))
		code = mosquitto_loop_write(bus->mosq, 1);
	check_result(bus, code);
	bus->depth--;
	settle(bus);
}

/* ---- what the broker says to SUBSCRIBE and PUBLISH ---- */

const char *dp_bus_reason(int reason)
{
	return mosquitto_reason_string(reason);
}

/* What is not granted is trouble, as long as the connection itself is well. */
static void note_lacking(struct dp_bus *bus)
{
	const struct dp_subscription *lacking =
		dp_subscriptions_lacking(&bus->subscriptions);
	if (lacking == NULL)
		bus->trouble[0] = '\0';
	else if (lacking->answer < 0)
		snprintf(bus->trouble, sizeof(bus->trouble),
			"subscription to %s not answered yet (broker %s:%d)",
			lacking->filter, bus->url.host, bus->url.port);
	else if (lacking->answer < MQTT_RC_UNSPECIFIED)
		snprintf(bus->trouble, sizeof(bus->trouble),
			"subscription to %s granted with QoS 0 only (broker %s:%d)",
			lacking->filter, bus->url.host, bus->url.port);
	else
		snprintf(bus->trouble, sizeof(bus->trouble),
			"subscription to %s refused: %s (broker %s:%d)", lacking->filter,
			dp_bus_reason(lacking->answer), bus->url.host, bus->url.port);
}

static int send_subscribe(struct dp_bus *bus, struct dp_subscription *s)
{
	/* A session that goes on is not sent retained messages anew. */
	return mosquitto_subscribe_v5(bus->mosq, &s->mid, s->filter, DP_SUBSCRIBE_QOS,
		MQTT_SUB_OPT_SEND_RETAIN_NEW, NULL);
}

static void subscribe_again(struct dp_bus *bus)
{
	struct dp_subscription *s;
	int64_t now_ms = (int64_t)uv_now(bus->loop);
	while (dp_bus_connected(bus) &&
		(s = dp_subscriptions_due(&bus->subscriptions, now_ms)) != NULL)
		(void)translate(
			send_subscribe(bus, s)); /* an error is logged or tried again */
}

static void mosq_subscribed(struct mosquitto *mosq, void *data, int mid, int n,
	const int *answers, const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	const struct dp_subscription *s = NULL;
	(void)mosq, (void)properties;
	int answer = n > 0 ? answers[0] : MQTT_RC_UNSPECIFIED;
	switch (dp_subscriptions_answered(
		&bus->subscriptions, mid, answer, (int64_t)uv_now(bus->loop), &s)) {
	case DP_SUBSCRIPTION_REFUSED:
		dp_log(DP_LOG_ERROR,
			"the broker refuses a subscription: allow it in the broker's "
			"rights; "
			"it is asked for again from time to time",
			"filter=\"%s\" reason=\"%s\" client_id=%s broker=%s:%d", s->filter,
			dp_bus_reason(answer), bus->options.client_id, bus->url.host,
			bus->url.port);
		break;
	case DP_SUBSCRIPTION_WEAKER:
		dp_log(DP_LOG_ERROR,
			"the broker grants a subscription with QoS 0 only, so messages may "
			"be "
			"lost: allow QoS 1 in the broker's settings",
			"filter=\"%s\" client_id=%s broker=%s:%d", s->filter,
			bus->options.client_id, bus->url.host, bus->url.port);
		break;
	case DP_SUBSCRIPTION_GRANTED:
		dp_log(DP_LOG_DEBUG, "subscribed", "filter=\"%s\"", s->filter);
		break;
	case DP_SUBSCRIPTION_SAME:
		break;
	}
	if (dp_bus_connected(bus))
		note_lacking(bus);
}

static void mosq_published(struct mosquitto *mosq, void *data, int mid, int reason,
	const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq, (void)properties;
	char *topic = dp_in_flight_answered(&bus->in_flight, mid);
	if (reason >= MQTT_RC_UNSPECIFIED) {
		const char *known = topic != NULL ? topic : "";
		uint64_t n =
			dp_refusals_note(&bus->refusals, known, (int64_t)uv_now(bus->loop));
		if (n > 0)
			dp_log(DP_LOG_ERROR,
				"the broker refuses what is published: allow it in the "
				"broker's rights",
				"topic=\"%s\" reason=\"%s\" refused=%llu client_id=%s "
				"broker=%s:%d",
				known, dp_bus_reason(reason), (unsigned long long)n,
				bus->options.client_id, bus->url.host, bus->url.port);
		if (bus->options.on_refused != NULL && !bus->closing)
			bus->options.on_refused(bus->options.data, known, reason);
	}
	free(topic);
}

static void on_housekeeping(uv_timer_t *timer)
{
	struct dp_bus *bus = timer->data;
	/* A PINGREQ would take the held acknowledgements along. */
	if (bus->held)
		return;
	bus->depth++;
	subscribe_again(bus);
	check_result(bus, mosquitto_loop_misc(bus->mosq));
	bus->depth--;
	settle(bus);
}

static void on_handshake_timeout(uv_timer_t *timer)
{
	struct dp_bus *bus = timer->data;
	set_trouble(bus, "no answer to CONNECT", "");
	bus->lost = true;
	settle(bus);
}

static void mosq_connected(struct mosquitto *mosq, void *data, int code, int flags,
	const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq, (void)flags, (void)properties;
	if (code != 0) {
		bus->refused = code;
		set_trouble(bus, "refused", mosquitto_reason_string(code));
		bus->lost = true;
		return;
	}
	bus->state = BUS_UP;
	bus->up_since_ms = (int64_t)uv_now(bus->loop);
	bus->attempted = false;
	bus->trouble[0] = '\0';
	dp_subscriptions_begin(&bus->subscriptions);
	uv_timer_start(&bus->timer, on_housekeeping, MISC_PERIOD_MS, MISC_PERIOD_MS);
	dp_log(DP_LOG_INFO, "connected", "broker=%s:%d", bus->url.host, bus->url.port);
	if (!bus->closing)
		bus->options.on_connect(bus->options.data);
}

/*
 * Somebody else connected under our name. Coming back at once would throw them out,
 * and they us, without end: wait long, and longer each time.
 */
static void yield_name(struct dp_bus *bus)
{
	if ((int64_t)uv_now(bus->loop) - bus->up_since_ms > YIELD_LIMIT_MS)
		bus->yield_ms = YIELD_FIRST_MS;
	dp_log(DP_LOG_ERROR,
		"another client uses the same name; is it a second node of this name?",
		"client_id=%s broker=%s:%d next_try_s=%lld", bus->options.client_id,
		bus->url.host, bus->url.port, (long long)bus->yield_ms / 1000);
	dp_backoff_raise(&bus->backoff, bus->yield_ms);
	bus->yield_ms *= 2;
	if (bus->yield_ms > YIELD_LIMIT_MS)
		bus->yield_ms = YIELD_LIMIT_MS;
}

static void mosq_disconnected(
	struct mosquitto *mosq, void *data, int code, const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq, (void)properties;
	if (!bus->lost)
		set_trouble(bus,
			code >= 128 ? "the broker ended the connection" : "connection lost",
			code >= 128 ? dp_bus_reason(code) : mosquitto_strerror(code));
	bus->lost = true;
	/* A held connection changes hands with its lease: that is nobody's mistake. */
	if (code == MQTT_RC_SESSION_TAKEN_OVER && !bus->options.hold_acks)
		yield_name(bus);
}

/* The strings that a received message's properties were copied into. */
struct received {
	char *content_type, *response_topic;
	void *correlation;
	char *names[MAX_PROPERTIES], *values[MAX_PROPERTIES];
	struct dp_property properties[MAX_PROPERTIES];
};

static void take_properties(
	const mosquitto_property *list, struct received *r, struct dp_bus_message *message)
{
	uint16_t len = 0;
	mosquitto_property_read_string(
		list, MQTT_PROP_CONTENT_TYPE, &r->content_type, false);
	mosquitto_property_read_string(
		list, MQTT_PROP_RESPONSE_TOPIC, &r->response_topic, false);
	mosquitto_property_read_binary(
		list, MQTT_PROP_CORRELATION_DATA, &r->correlation, &len, false);
	mosquitto_property_read_int32(
		list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &message->expiry_s, false);
	const mosquitto_property *at = list;
	bool skip = false;
	size_t n = 0;
	while (n < MAX_PROPERTIES &&
		(at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY,
			 &r->names[n], &r->values[n], skip)) != NULL) {
		r->properties[n] = (struct dp_property){r->names[n], r->values[n]};
		n++;
		skip = true;
	}
	message->content_type = r->content_type;
	message->response_topic = r->response_topic;
	message->correlation = r->correlation;
	message->correlation_len = len;
	message->properties = r->properties;
	message->n_properties = n;
}

static void mosq_message(struct mosquitto *mosq, void *data,
	const struct mosquitto_message *in, const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq;
	if (bus->closing || bus->lost)
		return;
	bus->held = bus->options.hold_acks;
	struct dp_bus_message message = {
		.topic = in->topic,
		.payload = in->payload != NULL ? in->payload : "",
		.len = (size_t)in->payloadlen,
		.qos = in->qos,
		.retain = in->retain,
	};
	struct received received = {.content_type = NULL};
	take_properties(properties, &received, &message);
	bus->options.on_message(bus->options.data, &message);
	free(received.content_type);
	free(received.response_topic);
	free(received.correlation);
	for (size_t i = 0; i < message.n_properties; i++) {
		free(received.names[i]);
		free(received.values[i]);
	}
}

/* ---- connecting, on the work queue: names are resolved and TCP waits there ---- */

static pthread_mutex_t tls_setup = PTHREAD_MUTEX_INITIALIZER;

static void nudged(int number)
{
	(void)number; /* its only effect is EINTR */
}

static void connect_work(uv_work_t *work)
{
	struct dp_bus *bus = work->data;
	mosquitto_property *properties = NULL;
	sigset_t nudge;
	sigemptyset(&nudge);
	sigaddset(&nudge, NUDGE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
	/* The library sets TLS up at the first connection, and without a lock. */
	if (bus->url.tls)
		pthread_mutex_lock(&tls_setup);
	bus->worker = pthread_self();
	atomic_store(&bus->worker_state, 1);

	mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
		bus->options.session_expiry_s);
	mosquitto_property_add_int32(
		&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, MAX_PACKET_BYTES);
	errno = 0;
	bus->connect_result = mosquitto_connect_bind_v5(
		bus->mosq, bus->url.host, bus->url.port, KEEPALIVE_S, NULL, properties);
	bus->connect_errno = errno;
	mosquitto_property_free_all(&properties);
	atomic_store(&bus->worker_state, 2);
	if (bus->url.tls)
		pthread_mutex_unlock(&tls_setup);
	pthread_sigmask(SIG_BLOCK, &nudge, NULL);
}

/*
 * connect() waits two minutes for a host that drops packets; a signal ends it. It
 * may arrive just before the system call, so it is sent again until it is heard.
 */
static void on_connect_slow(uv_timer_t *timer)
{
	struct dp_bus *bus = timer->data;
	bool overdue =
		(int64_t)uv_now(bus->loop) - bus->connect_since_ms > HANDSHAKE_TIMEOUT_MS;
	if ((overdue || bus->closing) && atomic_load(&bus->worker_state) == 1)
		pthread_kill(bus->worker, NUDGE_SIGNAL);
}

static void connect_done(uv_work_t *work, int status)
{
	struct dp_bus *bus = work->data;
	(void)status;
	uv_timer_stop(&bus->timer);
	bus->state = BUS_HANDSHAKE;
	bus->lost = false;
	int code = bus->connect_result;
	if (bus->closing) {
		settle(bus);
		return;
	}
	if (code != MOSQ_ERR_SUCCESS) {
		const char *detail = code == MOSQ_ERR_ERRNO ? strerror(bus->connect_errno)
							    : mosquitto_strerror(code);
		if (code == MOSQ_ERR_ERRNO && bus->connect_errno == EINTR)
			detail = "no answer within 10 s";
		set_trouble(bus, "no connection", detail);
		bus->lost = true;
		settle(bus);
		return;
	}
	int err = start_poll(bus);
	if (err != 0) {
		set_trouble(bus, "cannot watch the socket", uv_strerror(err));
		bus->lost = true;
	} else {
		uv_timer_start(&bus->timer, on_handshake_timeout, HANDSHAKE_TIMEOUT_MS, 0);
	}
	settle(bus);
}

static int make_handle(struct dp_bus *bus)
{
	const struct dp_bus_options *o = &bus->options;
	int err = 0;
	bus->mosq = mosquitto_new(o->client_id, o->clean_start, bus);
	if (bus->mosq == NULL)
		dp_log_out_of_memory("an MQTT connection");
	mosquitto_int_option(bus->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	mosquitto_int_option(bus->mosq, MOSQ_OPT_TCP_NODELAY, 1);
	/* The windows are the callers' and the broker's to bound, not the library's 20. */
	mosquitto_int_option(bus->mosq, MOSQ_OPT_RECEIVE_MAXIMUM, QUOTA);
	mosquitto_int_option(bus->mosq, MOSQ_OPT_SEND_MAXIMUM, QUOTA);
	/*
	 * A handle for threads queues its packets, PUBACKs too, until the next
	 * mosquitto_loop_write(); others write at once. Not documented: a test that
	 * kills ingest between the two pins it.
	 */
	mosquitto_threaded_set(bus->mosq, o->hold_acks);
	mosquitto_connect_v5_callback_set(bus->mosq, mosq_connected);
	mosquitto_disconnect_v5_callback_set(bus->mosq, mosq_disconnected);
	mosquitto_message_v5_callback_set(bus->mosq, mosq_message);
	mosquitto_subscribe_v5_callback_set(bus->mosq, mosq_subscribed);
	mosquitto_publish_v5_callback_set(bus->mosq, mosq_published);
	if (bus->url.user[0] != '\0')
		err = mosquitto_username_pw_set(bus->mosq, bus->url.user,
			bus->url.password[0] != '\0' ? bus->url.password : NULL);
	if (err == 0 && bus->url.tls)
		err = mosquitto_tls_set(bus->mosq, o->ca_file, NULL, NULL, NULL, NULL);
	if (err == 0 && o->will_topic != NULL)
		err = mosquitto_will_set_v5(bus->mosq, o->will_topic,
			(int)strlen(o->will_payload), o->will_payload, 1, true, NULL);
	return err;
}

static void begin_connect(struct dp_bus *bus)
{
	bus->refused = 0;
	int err = make_handle(bus);
	if (err != 0) {
		set_trouble(bus, "cannot prepare a connection", mosquitto_strerror(err));
		retry_later(bus);
		return;
	}
	bus->state = BUS_CONNECTING;
	bus->work.data = bus;
	bus->connect_since_ms = (int64_t)uv_now(bus->loop);
	atomic_store(&bus->worker_state, 0);
	uv_timer_start(&bus->timer, on_connect_slow, HANDSHAKE_TIMEOUT_MS, NUDGE_PERIOD_MS);
	err = uv_queue_work(bus->loop, &bus->work, connect_work, connect_done);
	assert(err == 0);
	(void)err;
}

int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options)
{
	struct sigaction nudge = {.sa_handler = nudged};
	struct dp_bus *bus = calloc(1, sizeof(*bus));
	const char *why;
	if (bus == NULL)
		return -ENOMEM;
	if (dp_mqtt_url_parse(options->url, &bus->url, &why) != 0) {
		free(bus);
		return -EINVAL;
	}
	/* Both are process-wide and harmless to do for each bus. */
	mosquitto_lib_init();
	sigaction(NUDGE_SIGNAL, &nudge, NULL);
	bus->options = *options;
	bus->loop = loop;
	bus->state = BUS_WAITING;
	dp_backoff_init(&bus->backoff);
	bus->yield_ms = YIELD_FIRST_MS;
	dp_random(&bus->random, sizeof(bus->random));
	bus->random |= 1;
	set_trouble(bus, "not connected yet", "");
	uv_timer_init(loop, &bus->timer);
	bus->timer.data = bus;
	uv_timer_start(&bus->timer, on_backoff, 0, 0);
	*out = bus;
	return 0;
}

static int message_properties(
	const struct dp_bus_message *message, mosquitto_property **properties)
{
	int code = 0;
	if (message->content_type != NULL)
		code = mosquitto_property_add_string(
			properties, MQTT_PROP_CONTENT_TYPE, message->content_type);
	if (code == 0 && message->response_topic != NULL)
		code = mosquitto_property_add_string(
			properties, MQTT_PROP_RESPONSE_TOPIC, message->response_topic);
	if (code == 0 && message->correlation_len > 0)
		code = mosquitto_property_add_binary(properties, MQTT_PROP_CORRELATION_DATA,
			message->correlation, (uint16_t)message->correlation_len);
	if (code == 0 && message->expiry_s > 0)
		code = mosquitto_property_add_int32(
			properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, message->expiry_s);
	for (size_t i = 0; i < message->n_properties && code == 0; i++)
		code = mosquitto_property_add_string_pair(properties,
			MQTT_PROP_USER_PROPERTY, message->properties[i].name,
			message->properties[i].value);
	return code;
}

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	/* Offline, the library would queue it and say that it did not. */
	if (!dp_bus_connected(bus))
		return -ENOTCONN;
	mosquitto_property *properties = NULL;
	int code = message_properties(message, &properties);
	int mid = 0;
	bus->depth++;
	if (code == 0)
		code = mosquitto_publish_v5(bus->mosq, &mid, message->topic,
			(int)message->len, message->payload, message->qos, message->retain,
			properties);
	bus->depth--;
	mosquitto_property_free_all(&properties);
	if (code == 0 && message->qos > 0 && bus->options.on_refused != NULL)
		dp_in_flight_sent(&bus->in_flight, mid, message->topic);
	/* A connection found broken here is noticed by the poll soon after. */
	if (bus->depth == 0 && !bus->lost)
		update_poll(bus);
	return translate(code);
}

int dp_bus_subscribe(struct dp_bus *bus, const char *filter)
{
	if (!dp_bus_connected(bus))
		return -ENOTCONN;
	struct dp_subscription *s = dp_subscriptions_ask(
		&bus->subscriptions, filter, (int64_t)uv_now(bus->loop));
	if (s == NULL)
		dp_log_out_of_memory("a subscription");
	int code = send_subscribe(bus, s);
	note_lacking(bus);
	return translate(code);
}

int dp_bus_unsubscribe(struct dp_bus *bus, const char *filter)
{
	if (!dp_bus_connected(bus))
		return -ENOTCONN;
	dp_subscriptions_drop(&bus->subscriptions, filter);
	note_lacking(bus);
	return translate(mosquitto_unsubscribe_v5(bus->mosq, NULL, filter, NULL));
}

bool dp_bus_connected(const struct dp_bus *bus)
{
	return bus->state == BUS_UP && !bus->lost && !bus->closing;
}

bool dp_bus_congested(struct dp_bus *bus)
{
	return dp_bus_connected(bus) && wants_write(bus);
}

const char *dp_bus_trouble(const struct dp_bus *bus)
{
	return bus->trouble;
}

const char *dp_bus_health(const struct dp_bus *bus)
{
	return dp_bus_connected(bus) && bus->trouble[0] == '\0' ? NULL : bus->trouble;
}

void dp_bus_pause(struct dp_bus *bus, bool paused)
{
	if (bus->paused == paused)
		return;
	bus->paused = paused;
	if (bus->depth == 0 && !bus->lost)
		update_poll(bus);
}

void dp_bus_release(struct dp_bus *bus)
{
	if (!bus->held)
		return;
	bus->held = false;
	if (bus->state != BUS_UP || bus->lost || bus->closing)
		return;
	bus->depth++;
	check_result(bus, mosquitto_loop_write(bus->mosq, 1));
	bus->depth--;
	settle(bus);
}

void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data))
{
	/* Held acknowledgements must not leave with a DISCONNECT: just hang up. */
	if (bus->state == BUS_UP && !bus->lost && !bus->held) {
		bus->depth++;
		mosquitto_disconnect_v5(bus->mosq, 0, NULL);
		bus->depth--;
		bus->state = BUS_LEAVING;
		uv_timer_start(&bus->timer, on_leave_timeout, LEAVE_MS, 0);
	}
	bus->closing = true;
	bus->closed = closed;
	if (bus->state == BUS_CONNECTING)
		uv_timer_start(&bus->timer, on_connect_slow, 0, NUDGE_PERIOD_MS);
	settle(bus);
}
