/* The publisher's settings: what the environment may say, and its bounds. */
#ifndef PUBLISHER_SETTINGS_H
#define PUBLISHER_SETTINGS_H

#include <stdbool.h>
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
	const char *link;
	const char *answer_within; /**< NULL: not set, and so below */
	const char *send_every;
	const char *compress;
	int64_t spill_after_ms; /**< SETTINGS_AUTO: not set */
	int64_t batch_size;

	/* What follows from the settings: settings_derive(). */
	int64_t answer_ms;     /**< how long the centre's answer may take; 0: as it comes */
	bool spill_auto;       /**< spill_after_ms follows from it */
	int64_t send_every_ms; /**< readings are gathered so long; 0: they are not */
	int64_t stats_every_ms; /**< samplers' statistics go up so often; 0: as they come */
	int keepalive_s;	/**< of the connection to the centre */
	bool deflate;		/**< COMPRESS */
	bool metered;		/**< LINK: each byte costs */
	/** In which a reading's sampler is answered while all is well; 0: at once. */
	int64_t within_ms;
};

/** Of spill_after_ms, before the settings are read. */
#define SETTINGS_AUTO (-1)

/** Fill in what follows from settings that are checked. */
void settings_derive(struct publisher_config *config);

/** Log what may be set so, but should not. */
void settings_warn(const struct publisher_config *config);

/** For dp_service_init(), with a struct publisher_config. */
extern const struct dp_service_info settings_info;

#endif
