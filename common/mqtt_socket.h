/*
 * The socket of a libmosquitto handle, watched by the loop. Only bus.c uses it, on the
 * loop's thread. What is watched is a dup() of the descriptor: the library closes its own
 * early.
 */
#ifndef DP_MQTT_SOCKET_H
#define DP_MQTT_SOCKET_H

#include <stdbool.h>

#include <mosquitto.h>
#include <uv.h>

/**
 * Make a watcher of the handle's socket; uv_poll_start() starts it.
 * @param data  the watcher's `data`
 * @return 0 or a negative error of libuv
 */
int dp_mqtt_watch(uv_loop_t *loop, struct mosquitto *mosq, void *data, uv_poll_t **out);

/** Close a watcher with its descriptor, and set `*poll` to NULL; NULL is fine. */
void dp_mqtt_unwatch(uv_poll_t **poll);

/** Read and forget what is there. @return whether the peer has hung up */
bool dp_mqtt_drain(uv_poll_t *poll);

bool dp_mqtt_wants_write(struct mosquitto *mosq);

/**
 * Whether TLS has decrypted what nobody has read yet: that is no longer in the socket, and
 * no event will say that it is there.
 */
bool dp_mqtt_decrypted(struct mosquitto *mosq);

#endif
