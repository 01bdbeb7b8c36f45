/*
 * A handle of libmosquitto, set up as a bus wants it, and the library's codes. Only bus.c
 * uses it, on the loop's thread.
 */
#ifndef DP_MQTT_HANDLE_H
#define DP_MQTT_HANDLE_H

#include <stdbool.h>

#include <mosquitto.h>

#include "bus_types.h"
#include "url.h"

/**
 * Make one, which the caller destroys whatever is returned; memory that is missing ends
 * the process.
 * @param data  handed to the library's callbacks
 * @return a code of libmosquitto: what it does not like about user or will
 */
int dp_mqtt_handle(struct mosquitto **out, const struct dp_bus_options *options,
	const struct dp_mqtt_url *url, void *data);

/** Hold back what is written until it fills a segment, or send it. */
void dp_mqtt_cork(struct mosquitto *mosq, bool corked);

/** Whether there is something to write that the peer will take. */
bool dp_mqtt_wants_write(struct mosquitto *mosq);

/**
 * Whether TLS has decrypted what nobody has read yet: that is no longer in the socket, and
 * no event will say that it is there.
 */
bool dp_mqtt_decrypted(struct mosquitto *mosq);

/** Without TLS: whether what can be read is an alert of a broker that speaks TLS. */
bool dp_mqtt_answers_in_tls(struct mosquitto *mosq);

/** A code of libmosquitto as a negative errno, as dp_bus_publish() lists them. */
int dp_mqtt_error(int code);

#endif
