/* The publisher's settings: what the environment may say, and its bounds. */
#ifndef PUBLISHER_SETTINGS_H
#define PUBLISHER_SETTINGS_H

#include <stdint.h>

#include "service.h"

#define SETTINGS_DROP_OLDEST "drop-oldest" /* OUTBOX_FULL */

/** As they were read; each value has been checked. */
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

/** For dp_service_init(), with a struct publisher_config. */
extern const struct dp_service_info settings_info;

#endif
