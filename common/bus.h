/*
 * MQTT 5 on the loop: the only user of libmosquitto. A bus connects, reconnects
 * with back-off and jitter, and keeps nothing: what is published while it is down
 * is refused, what was under way when it went down is forgotten. Sending again is the
 * caller's.
 */
#ifndef DP_BUS_H
#define DP_BUS_H

#include <stdbool.h>

#include <uv.h>

#include "bus_types.h"

struct dp_bus;

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
 * What is published until dp_bus_uncork(), in the same iteration of the loop, leaves
 * together: each segment has a header of its own, and wakes a radio.
 */
void dp_bus_cork(struct dp_bus *bus);
void dp_bus_uncork(struct dp_bus *bus);

/**
 * Subscribe with QoS 1; from on_connect, as each connection begins anew. What the broker
 * refuses, or the library does not send, is logged, is a matter of health (below) and is
 * asked for again from time to time.
 */
void dp_bus_subscribe(struct dp_bus *bus, const char *filter);

/** Undo a subscription, if there is one. What the library does not send is logged. */
void dp_bus_unsubscribe(struct dp_bus *bus, const char *filter);

bool dp_bus_connected(const struct dp_bus *bus);

/**
 * What keeps it from working, in words: it is down, or a subscription is refused or not
 * granted yet. They are the bus's and change with it.
 * @return NULL while all is well
 */
const char *dp_bus_health(const struct dp_bus *bus);

/** Whether the broker is slow to take what was published: it waits in memory. */
bool dp_bus_congested(struct dp_bus *bus);

/** Stop or go on reading from the socket: back-pressure to the broker. */
void dp_bus_pause(struct dp_bus *bus, bool paused);

/**
 * With hold_acks: everything received so far is safe, and its acknowledgements leave.
 * From the first message of a group until this call the bus writes nothing; it goes on
 * reading unless it is paused. When the connection is lost instead, the broker sends the
 * group again: forget it in on_disconnect. A group that takes longer than half a minute
 * may end the connection, as no PINGREQ leaves meanwhile.
 */
void dp_bus_release(struct dp_bus *bus);

/**
 * Disconnect (politely when connected) and free. No callback comes after this
 * call but `closed`, which may be NULL.
 */
void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data));

#endif
