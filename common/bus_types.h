/* What goes over a bus, and how it is set up: bus.h. */
#ifndef DP_BUS_TYPES_H
#define DP_BUS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity.h"

struct dp_tls_files;

/** A message in either direction; nothing in it is owned. */
struct dp_bus_message {
	const char *topic;
	const void *payload;
	size_t len;
	int qos;
	bool retain;
	bool often; /**< its topic comes again: sent once, where the broker allows it */
	uint32_t expiry_s;	  /**< 0: never */
	const char *content_type; /**< NULL: none, and so below */
	const char *response_topic;
	const void *correlation;
	size_t correlation_len;
	const struct dp_property *properties; /**< user properties */
	size_t n_properties;
};

#define DP_SESSION_NEVER_ENDS UINT32_MAX

struct dp_bus_options {
	const char *url;		/**< checked by dp_check_mqtt_url() */
	const struct dp_tls_files *tls; /**< for mqtts://; outlives the bus */
	const char *client_id;
	bool clean_start;
	/** Acknowledge what was received only when dp_bus_release() says so. */
	bool hold_acks;
	/** Subscriptions bring what is published from now on, never what is retained. */
	bool live_only;
	/** How long the broker keeps the session of a lost connection, by its own clock. */
	uint32_t session_expiry_s;
	/** May be NULL. Asked at each connection, in place of session_expiry_s. */
	uint32_t (*session_expiry)(void *data);
	int keepalive_s; /**< a dead connection is found after about that long; 0: 30 */
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

#endif
