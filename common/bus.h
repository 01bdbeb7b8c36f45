/*
 * MQTT 5 on the loop: the only user of libmosquitto. A bus connects, reconnects
 * with back-off and jitter, and keeps nothing: what is published while it is down
 * is refused, what was under way when it went down is forgotten. Delivery is the
 * caller's (delivery.h).
 */
#ifndef DP_BUS_H
#define DP_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "identity.h"

struct dp_bus;

/** A message in either direction; nothing in it is owned. */
struct dp_bus_message {
	const char *topic;
	const void *payload;
	size_t len;
	int qos;
	bool retain;
	uint32_t expiry_s;	  /**< 0: never */
	const char *content_type; /**< NULL: none, and so below */
	const char *response_topic;
	const void *correlation;
	size_t correlation_len;
	const struct dp_property *properties; /**< user properties */
	size_t n_properties;
};

struct dp_bus_options {
	const char *url;     /**< checked by dp_check_mqtt_url() */
	const char *ca_file; /**< for mqtts:// */
	const char *client_id;
	bool clean_start;
	/** Acknowledge what was received only when dp_bus_release() says so. */
	bool hold_acks;
	uint32_t session_expiry_s;
	const char *will_topic; /**< retained, QoS 1; NULL: none */
	const char *will_payload;
	void *data;
	void (*on_connect)(void *data);
	void (*on_disconnect)(void *data); /**< only after on_connect */
	/** The message lives for the call. */
	void (*on_message)(void *data, const struct dp_bus_message *message);
	/**
	 * May be NULL. The broker did not take a QoS 1 publish: its PUBACK had a reason
	 * from 0x80 on, such as 0x87 (not authorized) or 0x97 (quota exceeded). `topic` is
	 * as given to dp_bus_publish() and lives for the call; it is empty when more than a
	 * thousand later publishes were on their way. The bus logs it.
	 */
	void (*on_refused)(void *data, const char *topic, int reason);
};

/**
 * Make a bus and start connecting. Callbacks come from the loop, never from within
 * this call.
 * @param options  copied; its strings must outlive the bus
 * @return 0, -EINVAL a bad URL, -ENOMEM
 */
int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options);

/**
 * Publish. QoS 1 means that the broker will get it while this connection lasts.
 * @return 0; -ENOTCONN while the bus is down; -EMSGSIZE above what the broker takes;
 *         -EINVAL the message is wrong (topic, properties); -ENOTSUP the broker cannot do
 *         it (retain, QoS 1); -ENOMEM; -EREMOTEIO anything else that the library says,
 *         logged
 */
int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message);

/**
 * Subscribe with QoS 1; from on_connect, as each connection begins anew. What the broker
 * refuses is logged, is trouble (below) and is asked for again from time to time.
 * @return as above
 */
int dp_bus_subscribe(struct dp_bus *bus, const char *filter);

/** Undo a subscription, if there is one. @return as dp_bus_publish() */
int dp_bus_unsubscribe(struct dp_bus *bus, const char *filter);

bool dp_bus_connected(const struct dp_bus *bus);

/**
 * What keeps it from working, for health and logs: it is down, or a subscription is
 * refused or not granted yet. Empty while all is well.
 */
const char *dp_bus_trouble(const struct dp_bus *bus);

/** The same for a service's health: NULL while all is well. */
const char *dp_bus_health(const struct dp_bus *bus);

/** An MQTT reason code in words, such as "not authorized". */
const char *dp_bus_reason(int reason);

/** Whether the broker is slow to take what was published: it waits in memory. */
bool dp_bus_congested(struct dp_bus *bus);

/** Stop or go on reading from the socket: back-pressure to the broker. */
void dp_bus_pause(struct dp_bus *bus, bool paused);

/**
 * With hold_acks: everything received so far is safe. Its acknowledgements leave and
 * reading goes on; from the first message of a group until this call the bus neither
 * reads nor writes. When the connection is lost instead, the broker sends the group
 * again: forget it in on_disconnect.
 */
void dp_bus_release(struct dp_bus *bus);

/**
 * Disconnect (politely when connected) and free. No callback comes after this
 * call but `closed`, which may be NULL.
 */
void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data));

#endif
