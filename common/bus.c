/*
 * The states of a connection. A handle of the library serves one connection, so that
 * nothing of the last one is sent again behind the caller's back.
 */
#include "bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include "backoff.h"
#include "broker_answers.h"
#include "log.h"
#include "mqtt_connect.h"
#include "mqtt_handle.h"
#include "mqtt_message.h"
#include "random.h"
#include "timer.h"
#include "topic_aliases.h"
#include "url.h"
#include "watch.h"

#define MISC_PERIOD_MS 5000
#define HANDSHAKE_TIMEOUT_MS 10000
#define LEAVE_MS 500
#define YIELD_FIRST_MS 30000
#define YIELD_LIMIT_MS 600000
#define PACKETS_AT_ONCE 1000

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
	bool acks_held; /* hold_acks: a group of messages waits for dp_bus_release() */
	bool lost;	/* the library said so; acted on when its call has returned */
	bool closing;
	bool gathers, corked; /* corked: something was published since dp_bus_cork() */
	unsigned depth;	      /* calls into the library under way on the loop thread */
	int refused;	      /* CONNACK's reason code */
	char unhealthy[512]; /* why it is down, or what is not granted; empty: it is well */
	char logged[512];    /* the last reason that was logged since it was up */
	struct dp_backoff backoff;
	struct dp_broker_answers answers;
	struct dp_topic_aliases aliases;
	int64_t yield_ms; /* the next back-off when somebody takes our name */
	uint64_t random;
	uv_timer_t timer; /* back-off, handshake or housekeeping, by state */
	uv_poll_t *poll;  /* on a dup() of the socket: the library closes its own early */
	struct dp_mqtt_connect connect;
	int64_t up_since_ms;
	void (*closed)(void *data);
};

static void begin_connect(struct dp_bus *bus);
static void settle(struct dp_bus *bus);

static void set_unhealthy(struct dp_bus *bus, const char *what, const char *detail)
{
	snprintf(bus->unhealthy, sizeof(bus->unhealthy), "%s at %s:%d%s%s", what,
		bus->url.host, bus->url.port, detail[0] != '\0' ? ": " : "", detail);
}

static const char *tls_fault(struct dp_bus *bus)
{
	uv_os_fd_t fd = -1;
	if (bus->poll != NULL)
		uv_fileno((uv_handle_t *)bus->poll, &fd);
	return dp_mqtt_tls_fault(&bus->connect.tls, fd);
}

/* What the library says first of a loss is kept; what it says of the same later is not. */
static void note_loss(struct dp_bus *bus, int code)
{
	bool early = bus->state == BUS_HANDSHAKE;
	bool hung_up = code == MOSQ_ERR_CONN_LOST || code == MOSQ_ERR_ERRNO;
	const char *detail =
		code == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(code);
	bool known = bus->lost || bus->refused != 0;
	bus->lost = true;
	if (known)
		return;
	const char *tls = early ? tls_fault(bus) : NULL;
	if (tls != NULL)
		set_unhealthy(bus, "no TLS connection", tls);
	else if (early && hung_up)
		set_unhealthy(bus, "no answer to CONNECT",
			"the broker hung up; for a port with TLS the address begins with "
			"mqtts://");
	else if (code >= 128)
		set_unhealthy(bus, "the broker ended the connection",
			mosquitto_reason_string(code));
	else
		set_unhealthy(bus, "connection lost", detail);
}

static bool reads(const struct dp_bus *bus)
{
	return !bus->paused || bus->state != BUS_UP;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void update_poll(struct dp_bus *bus)
{
	if (bus->poll == NULL)
		return;
	int events = reads(bus) ? UV_READABLE : 0;
	if ((!bus->acks_held && dp_mqtt_wants_write(bus->mosq)) ||
		(reads(bus) && dp_mqtt_decrypted(bus->mosq)))
		events |= UV_WRITABLE;
	/* Also while nothing is read the end of the connection must be seen. */
	uv_poll_start(bus->poll, events != 0 ? events : UV_DISCONNECT, on_ready);
}

static void drop_handle(struct dp_bus *bus)
{
	dp_unwatch(&bus->poll);
	dp_mqtt_tls_end(&bus->connect.tls);
	mosquitto_destroy(bus->mosq);
	bus->mosq = NULL;
	dp_in_flight_clear(&bus->answers.in_flight);
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
	bus->acks_held = false;
	if (was_up || strcmp(bus->unhealthy, bus->logged) != 0)
		dp_log(DP_LOG_WARN,
			was_up ? "connection lost, trying again"
			       : "cannot connect, trying again",
			"reason=\"%s\"", bus->unhealthy);
	memcpy(bus->logged, bus->unhealthy, sizeof(bus->logged));
	int64_t up_ms = was_up ? (int64_t)uv_now(bus->loop) - bus->up_since_ms : 0;
	int64_t wait_ms = dp_backoff_wait(&bus->backoff, up_ms, &bus->random);
	dp_log(DP_LOG_DEBUG, "waiting before the next attempt", "wait_ms=%lld",
		(long long)wait_ms);
	timer_start(&bus->timer, on_backoff, (uint64_t)wait_ms);
	if (was_up)
		bus->options.on_disconnect(bus->options.data);
}

static void timer_closed(uv_handle_t *handle)
{
	struct dp_bus *bus = handle->data;
	void (*closed)(void *) = bus->closed;
	void *data = bus->options.data;
	dp_broker_answers_finish(&bus->answers);
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
	(void)events;
	if (dp_watch_drain(poll) || status < 0)
		finish_close(poll->data);
}

/*
 * Closing a socket that has unread bytes resets the connection, and the broker may not get
 * what we sent last. So our own descriptor stays open when the library closes its.
 */
static void go_on_leaving(struct dp_bus *bus)
{
	bool out = mosquitto_socket(bus->mosq) < 0;
	if (bus->lost && !out)
		finish_close(bus);
	else if (!out && dp_mqtt_wants_write(bus->mosq))
		/* Do not read: nobody would handle what is then acknowledged. */
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
	note_loss(bus, code);
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
		 ++n < PACKETS_AT_ONCE &&
		 (errno != EAGAIN || dp_mqtt_decrypted(bus->mosq)));
	return code;
}

/* The answer to CONNECT. A port with TLS answers what is not TLS with an alert. */
static int read_answer(struct dp_bus *bus)
{
	if (bus->url.tls || !dp_mqtt_answers_in_tls(bus->mosq))
		return read_packets(bus);
	set_unhealthy(bus, "no answer to CONNECT",
		"the broker speaks TLS there: the address is to begin with mqtts://");
	bus->lost = true;
	return MOSQ_ERR_CONN_LOST;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct dp_bus *bus = poll->data;
	bool broken = status < 0 || (events & UV_DISCONNECT) != 0;
	int code = MOSQ_ERR_SUCCESS;
	bus->depth++;
	if (bus->state == BUS_HANDSHAKE && (broken || (events & UV_READABLE) != 0))
		code = read_answer(bus);
	else if (!broken && ((events & UV_READABLE) != 0 ||
				    (reads(bus) && dp_mqtt_decrypted(bus->mosq))))
		code = read_packets(bus);
	if (code == MOSQ_ERR_SUCCESS && broken)
		code = MOSQ_ERR_CONN_LOST;
	if (code == MOSQ_ERR_SUCCESS && !bus->lost && !bus->acks_held &&
		dp_mqtt_wants_write(bus->mosq))
		code = mosquitto_loop_write(bus->mosq, 1);
	check_result(bus, code);
	bus->depth--;
	settle(bus);
}

/* ---- what the broker says to SUBSCRIBE and PUBLISH ---- */

/* What is not granted keeps us from working, as long as the connection itself is well. */
static void note_lacking(struct dp_bus *bus)
{
	dp_broker_answers_lacking(&bus->answers, bus->unhealthy, sizeof(bus->unhealthy));
}

/* What the library does not send is asked for again as if the broker had refused it. */
static void send_subscribe(struct dp_bus *bus, struct dp_subscription *s)
{
	/* A session that goes on is not sent retained messages anew. */
	int retained = bus->options.live_only ? MQTT_SUB_OPT_SEND_RETAIN_NEVER
					      : MQTT_SUB_OPT_SEND_RETAIN_NEW;
	int err = dp_mqtt_error(mosquitto_subscribe_v5(
		bus->mosq, &s->mid, s->filter, DP_SUBSCRIBE_QOS, retained, NULL));
	if (err != 0 && err != -ENOTCONN && err != s->error)
		dp_log(DP_LOG_ERROR,
			"a subscription could not be sent; it is asked for again from time "
			"to time",
			"filter=\"%s\" error=\"%s\" client_id=%s broker=%s:%d", s->filter,
			strerror(-err), bus->options.client_id, bus->url.host,
			bus->url.port);
	/* Without a connection nothing is sent: that is no fault of the subscription. */
	s->error = err == -ENOTCONN ? 0 : err;
	if (!bus->lost)
		note_lacking(bus);
}

static void subscribe_again(struct dp_bus *bus)
{
	struct dp_subscription *s;
	int64_t now_ms = (int64_t)uv_now(bus->loop);
	while (dp_bus_connected(bus) &&
		(s = dp_subscriptions_due(&bus->answers.subscriptions, now_ms)) != NULL)
		send_subscribe(bus, s);
}

static void mosq_subscribed(struct mosquitto *mosq, void *data, int mid, int n,
	const int *answers, const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq, (void)properties;
	dp_broker_answers_subscribed(&bus->answers, mid,
		n > 0 ? answers[0] : MQTT_RC_UNSPECIFIED, (int64_t)uv_now(bus->loop));
	if (dp_bus_connected(bus))
		note_lacking(bus);
}

static void mosq_published(struct mosquitto *mosq, void *data, int mid, int reason,
	const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq, (void)properties;
	char *topic = dp_broker_answers_published(
		&bus->answers, mid, reason, (int64_t)uv_now(bus->loop));
	if (topic != NULL && bus->options.on_refused != NULL && !bus->closing)
		bus->options.on_refused(bus->options.data, topic, reason);
	free(topic);
}

static void on_housekeeping(uv_timer_t *timer)
{
	struct dp_bus *bus = timer->data;
	/* The acknowledgements that are held back would be sent with a PINGREQ. */
	if (bus->acks_held)
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
	set_unhealthy(bus, "no answer to CONNECT", "");
	bus->lost = true;
	settle(bus);
}

static void mosq_connected(struct mosquitto *mosq, void *data, int code, int flags,
	const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq, (void)flags;
	if (code != 0) {
		bus->refused = code;
		set_unhealthy(bus, "refused", mosquitto_reason_string(code));
		bus->lost = true;
		return;
	}
	bus->state = BUS_UP;
	bus->up_since_ms = (int64_t)uv_now(bus->loop);
	bus->logged[0] = '\0';
	bus->unhealthy[0] = '\0';
	dp_subscriptions_begin(&bus->answers.subscriptions);
	uint16_t aliases = 0;
	mosquitto_property_read_int16(
		properties, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, &aliases, false);
	dp_topic_aliases_begin(&bus->aliases, aliases);
	timer_repeat(&bus->timer, on_housekeeping, MISC_PERIOD_MS, MISC_PERIOD_MS);
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
	note_loss(bus, code);
	if (dp_topic_aliases_ended(&bus->aliases, code))
		dp_log(DP_LOG_WARN,
			"the broker seems not to take the topic aliases that it allows; "
			"none are used until this service starts anew",
			"reason=\"%s\" client_id=%s broker=%s:%d",
			mosquitto_reason_string(code), bus->options.client_id,
			bus->url.host, bus->url.port);
	/* The connection of a lease changes hands with it: that is nobody's mistake. */
	if (code == MQTT_RC_SESSION_TAKEN_OVER && !bus->options.hold_acks)
		yield_name(bus);
}

static void mosq_message(struct mosquitto *mosq, void *data,
	const struct mosquitto_message *in, const mosquitto_property *properties)
{
	struct dp_bus *bus = data;
	(void)mosq;
	if (bus->closing || bus->lost)
		return;
	bus->acks_held = bus->options.hold_acks;
	struct dp_mqtt_received received;
	dp_mqtt_receive(&received, in, properties);
	bus->options.on_message(bus->options.data, &received.message);
	dp_mqtt_received_free(&received);
}

/* By itself connect() may wait for minutes; a service that stops cannot. */
static void on_connect_slow(uv_timer_t *timer)
{
	struct dp_bus *bus = timer->data;
	dp_mqtt_connect_nudge(&bus->connect, bus->loop, bus->closing);
}

static void on_connect_done(void *data, int code, int error)
{
	struct dp_bus *bus = data;
	uv_timer_stop(&bus->timer);
	bus->state = BUS_HANDSHAKE;
	bus->lost = false;
	if (bus->closing) {
		settle(bus);
		return;
	}
	if (code != MOSQ_ERR_SUCCESS) {
		const char *detail =
			code == MOSQ_ERR_ERRNO ? strerror(error) : mosquitto_strerror(code);
		if (code == MOSQ_ERR_ERRNO && error == EINTR)
			detail = "no answer within 10 s";
		const char *tls = tls_fault(bus);
		set_unhealthy(bus, tls != NULL ? "no TLS connection" : "no connection",
			tls != NULL ? tls : detail);
		bus->lost = true;
		settle(bus);
		return;
	}
	mosquitto_threaded_set(bus->mosq, bus->options.hold_acks);
	if (bus->url.tls)
		dp_mqtt_tls_connected(&bus->connect.tls, mosquitto_ssl_get(bus->mosq));
	int err = dp_watch(bus->loop, mosquitto_socket(bus->mosq), bus, &bus->poll);
	if (err != 0) {
		set_unhealthy(bus, "cannot watch the socket", uv_strerror(err));
		bus->lost = true;
	} else {
		timer_start(&bus->timer, on_handshake_timeout, HANDSHAKE_TIMEOUT_MS);
	}
	settle(bus);
}

static int make_handle(struct dp_bus *bus)
{
	int err = dp_mqtt_handle(&bus->mosq, &bus->options, &bus->url, bus);
	mosquitto_connect_v5_callback_set(bus->mosq, mosq_connected);
	mosquitto_disconnect_v5_callback_set(bus->mosq, mosq_disconnected);
	mosquitto_message_v5_callback_set(bus->mosq, mosq_message);
	mosquitto_subscribe_v5_callback_set(bus->mosq, mosq_subscribed);
	mosquitto_publish_v5_callback_set(bus->mosq, mosq_published);
	return err;
}

static void begin_connect(struct dp_bus *bus)
{
	bus->refused = 0;
	int err = make_handle(bus);
	if (err != 0) {
		set_unhealthy(bus, "cannot prepare a connection", mosquitto_strerror(err));
		retry_later(bus);
		return;
	}
	const struct dp_bus_options *options = &bus->options;
	bus->state = BUS_CONNECTING;
	bus->connect = (struct dp_mqtt_connect){
		.mosq = bus->mosq,
		.url = &bus->url,
		.files = options->tls,
		.session_expiry_s = options->session_expiry != NULL
					    ? options->session_expiry(options->data)
					    : options->session_expiry_s,
		.keepalive_s = options->keepalive_s,
		.data = bus,
		.done = on_connect_done,
	};
	timer_repeat(&bus->timer, on_connect_slow, DP_MQTT_CONNECT_MS, DP_MQTT_NUDGE_MS);
	dp_mqtt_connect_begin(&bus->connect, bus->loop);
}

int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options)
{
	struct dp_bus *bus = calloc(1, sizeof(*bus));
	const char *why;
	if (bus == NULL)
		return -ENOMEM;
	if (dp_mqtt_url_parse(options->url, &bus->url, &why) != 0) {
		free(bus);
		return -EINVAL;
	}
	dp_mqtt_connect_prepare();
	bus->options = *options;
	bus->loop = loop;
	bus->state = BUS_WAITING;
	bus->answers = (struct dp_broker_answers){.client_id = options->client_id,
		.host = bus->url.host,
		.port = bus->url.port};
	dp_backoff_init(&bus->backoff);
	bus->yield_ms = YIELD_FIRST_MS;
	dp_random(&bus->random, sizeof(bus->random));
	bus->random |= 1;
	set_unhealthy(bus, "not connected yet", "");
	timer_init(loop, &bus->timer, bus);
	timer_start(&bus->timer, on_backoff, 0);
	*out = bus;
	return 0;
}

/* One of QoS 1 may wait in the library while later ones leave: it tells no alias. */
static uint16_t alias_of(
	struct dp_bus *bus, const struct dp_bus_message *message, bool *known)
{
	uint16_t alias = dp_topic_alias(&bus->aliases, message->topic, known);
	return message->often && (*known || message->qos == 0) ? alias : 0;
}

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	/* Offline, the library would queue it and say that it did not. */
	if (!dp_bus_connected(bus))
		return -ENOTCONN;
	mosquitto_property *properties = NULL;
	bool known = false;
	uint16_t alias = alias_of(bus, message, &known);
	int code = dp_mqtt_properties(message, alias, &properties);
	int mid = 0;
	if (bus->gathers && !bus->corked)
		dp_mqtt_cork(bus->mosq, true);
	bus->corked = bus->gathers;
	bus->depth++;
	if (code == 0)
		code = mosquitto_publish_v5(bus->mosq, &mid,
			alias != 0 && known ? "" : message->topic, (int)message->len,
			message->payload, message->qos, message->retain, properties);
	bus->depth--;
	mosquitto_property_free_all(&properties);
	if (code == 0)
		dp_topic_alias_sent(&bus->aliases, message->topic, alias);
	if (code == 0 && message->qos > 0 && bus->options.on_refused != NULL)
		dp_in_flight_sent(&bus->answers.in_flight, mid, message->topic);
	/* A connection found broken here is noticed by the poll soon after. */
	if (bus->depth == 0 && !bus->lost)
		update_poll(bus);
	return dp_mqtt_error(code);
}

void dp_bus_cork(struct dp_bus *bus)
{
	bus->gathers = true;
}

void dp_bus_uncork(struct dp_bus *bus)
{
	if (bus->corked && bus->mosq != NULL)
		dp_mqtt_cork(bus->mosq, false);
	bus->gathers = bus->corked = false;
}

void dp_bus_subscribe(struct dp_bus *bus, const char *filter)
{
	if (!dp_bus_connected(bus))
		return; /* on_connect comes */
	struct dp_subscription *s = dp_subscriptions_ask(
		&bus->answers.subscriptions, filter, (int64_t)uv_now(bus->loop));
	if (s == NULL)
		dp_log_out_of_memory("a subscription");
	send_subscribe(bus, s);
}

void dp_bus_unsubscribe(struct dp_bus *bus, const char *filter)
{
	if (!dp_bus_connected(bus))
		return;
	dp_subscriptions_drop(&bus->answers.subscriptions, filter);
	note_lacking(bus);
	int err = dp_mqtt_error(mosquitto_unsubscribe_v5(bus->mosq, NULL, filter, NULL));
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot unsubscribe", "filter=\"%s\" error=\"%s\"",
			filter, strerror(-err));
}

bool dp_bus_connected(const struct dp_bus *bus)
{
	return bus->state == BUS_UP && !bus->lost && !bus->closing;
}

bool dp_bus_congested(struct dp_bus *bus)
{
	return dp_bus_connected(bus) && dp_mqtt_wants_write(bus->mosq);
}

const char *dp_bus_health(const struct dp_bus *bus)
{
	return dp_bus_connected(bus) && bus->unhealthy[0] == '\0' ? NULL : bus->unhealthy;
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
	if (!bus->acks_held)
		return;
	bus->acks_held = false;
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
	if (bus->state == BUS_UP && !bus->lost && !bus->acks_held) {
		bus->depth++;
		mosquitto_disconnect_v5(bus->mosq, 0, NULL);
		bus->depth--;
		bus->state = BUS_LEAVING;
		timer_start(&bus->timer, on_leave_timeout, LEAVE_MS);
	}
	bus->closing = true;
	bus->closed = closed;
	if (bus->state == BUS_CONNECTING)
		timer_repeat(&bus->timer, on_connect_slow, 0, DP_MQTT_NUDGE_MS);
	settle(bus);
}
