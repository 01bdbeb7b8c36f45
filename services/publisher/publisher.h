/*
 * The publisher: a relay with a memory between the node's broker and the central
 * one. It accepts a reading when the centre has stored it or when it stands in the
 * outbox, whichever is first.
 */
#ifndef PUBLISHER_PUBLISHER_H
#define PUBLISHER_PUBLISHER_H

#include <stdint.h>

#include "service.h"

struct publisher_config {
	struct dp_service_config service;
	const char *node_name;
	const char *mqtt_url;
	const char *upstream_url;
	const char *topic_prefix;
	const char *outbox;
	const char *outbox_full;
	int64_t outbox_max_bytes;
	const char *clock_trust;
	const char *clock_wait_max;
	int64_t spill_after_ms;
	int64_t batch_size;
};

/** What OUTBOX_FULL may be, when the value is none; else NULL. */
const char *publisher_check_full(const char *value);

struct relay;

struct relay *publisher_start(
	struct dp_service *service, const struct publisher_config *config);

/** As dp_service_run() wants it. */
void publisher_stop(void *relay);
const char *publisher_health(void *relay);

/** After the loop has ended. */
void publisher_destroy(struct relay *relay);

#endif
