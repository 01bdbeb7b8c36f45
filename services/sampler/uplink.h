/*
 * Readings on their way to the publisher: a stream of their own, kept in the ring until
 * they are accepted, sent again when nobody answers. While the newest reading of a sensor
 * waits for its turn it is shown on local/last/<sensor>, at most once a second. On the
 * loop's thread.
 */
#ifndef SAMPLER_UPLINK_H
#define SAMPLER_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "clock.h"
#include "identity.h"
#include "ledger.h"
#include "reading.h"
#include "ring.h"
#include "sensor.h"

#define UPLINK_HELLO "local/hello" /* a publisher has subscribed */
#define UPLINK_PUBLISHER "local/publisher"

struct uplink_options {
	uv_loop_t *loop;
	const struct dp_clock *clock;
	enum dp_clock_trust trust;
	const char *const *names; /**< of the sensors, by their index */
	int64_t ring_size;
	int64_t window;		     /**< readings on their way at once */
	const char *ledger;	     /**< a file, or NULL */
	void (*emptied)(void *data); /**< after uplink_stop(): all is said, or time is up */
	void *data;
};

struct uplink {
	struct uplink_options options;
	struct dp_bus *bus;
	struct ring ring;
	struct ledger ledger;
	struct dp_clock_watch watch;
	struct dp_stream_id stream;
	char stream_hex[DP_STREAM_HEX + 1];
	char ack_topic[64];
	uv_timer_t resend; /* runs while something is in flight; then the stop's patience */
	uint64_t resend_ms;
	uint64_t within_ms; /* how long the publisher's answers may take; 0: no time */
	uint64_t shown_ms[SENSORS_MAX]; /* when a reading was shown ahead of its turn */
	bool stopping;
	bool refused; /* the broker does not take readings; until one is accepted */
	uint64_t readings, accepted, dropped, resent; /* counters */
};

/** @return 0, or what ledger_open() says: finish it with uplink_finish() in either case */
int uplink_init(struct uplink *up, const struct uplink_options *options);

/** Begin to send, over a bus whose events are passed on as below. */
void uplink_start(struct uplink *up, struct dp_bus *bus);

void uplink_connected(struct uplink *up);
void uplink_disconnected(struct uplink *up);
void uplink_refused(struct uplink *up, const char *topic);

/** A message on UPLINK_PUBLISHER: how long its answers may take. */
void uplink_publisher(struct uplink *up, const struct dp_bus_message *message);

/** @return whether the message was for it */
bool uplink_message(struct uplink *up, const struct dp_bus_message *message);

/**
 * Date a reading and send it.
 * @param sensor  index
 * @return 0; -EINVAL a driver made what cannot be sent
 */
int uplink_keep(
	struct uplink *up, unsigned sensor, const struct dp_value *values, unsigned n);

/** Take no more readings. `emptied` is called, at once or within a second. */
void uplink_stop(struct uplink *up);

/** Free it, once the loop has ended. */
void uplink_finish(struct uplink *up);

#endif
