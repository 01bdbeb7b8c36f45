/*
 * A message as libmosquitto has it, from and to one of ours. Only bus.c uses it.
 * Any thread: nothing is kept.
 */
#ifndef DP_MQTT_MESSAGE_H
#define DP_MQTT_MESSAGE_H

#include <mosquitto.h>

#include "bus_types.h"

#define DP_MQTT_MAX_PROPERTIES 16 /* user properties; more are not looked at */

/** The strings that a received message's properties were copied into. */
struct dp_mqtt_received {
	struct dp_bus_message message; /**< points into the rest and into libmosquitto's */
	char *content_type, *response_topic;
	void *correlation;
	char *names[DP_MQTT_MAX_PROPERTIES], *values[DP_MQTT_MAX_PROPERTIES];
	struct dp_property properties[DP_MQTT_MAX_PROPERTIES];
};

/**
 * Read what the library received. `received` must not move while its message is used;
 * dp_mqtt_received_free() frees what it holds.
 */
void dp_mqtt_receive(struct dp_mqtt_received *received, const struct mosquitto_message *in,
	const mosquitto_property *properties);
void dp_mqtt_received_free(struct dp_mqtt_received *received);

/**
 * The properties of a message to be sent, added to `*properties`, which the caller frees
 * with mosquitto_property_free_all() whatever is returned.
 * @param alias  of its topic; 0: none
 * @return a code of libmosquitto
 */
int dp_mqtt_properties(const struct dp_bus_message *message, uint16_t alias,
	mosquitto_property **properties);

#endif
