/*
 * Which sensors and outputs can be used now, told to the publisher: retained `online` or
 * `offline` on local/status/<name>, with the sampler it belongs to as a user property. The
 * sampler's own last will is on local/sampler/<instance>. On the loop's thread; what the
 * bus refuses is logged, unless it is down.
 */
#ifndef SAMPLER_PRESENCE_H
#define SAMPLER_PRESENCE_H

#include <stdbool.h>

#include "bus.h"

struct presence {
	struct dp_bus *bus; /**< NULL: not open yet, nothing is told */
	const char *instance;
	char will_topic[96];
};

void presence_init(struct presence *presence, const char *instance);

/** After each connect: the sampler is here. */
void presence_begin(struct presence *presence);

/**
 * After presence_begin(): hear when somebody says that the sampler is away. That is the
 * last will of an earlier run, or another sampler with the same INSTANCE that stops.
 */
void presence_listen(struct presence *presence);

/** @return whether the message says that the sampler is away: call presence_begin() again
 */
bool presence_is_denied(
	const struct presence *presence, const struct dp_bus_message *message);

/** A sensor or an output; nothing happens while the bus is down. */
void presence_tell(struct presence *presence, const char *name, bool online);

/** Before a clean disconnect. */
void presence_end(struct presence *presence);

/**
 * Publish retained JSON or text of a name, on local/<what>/<name>.
 * @return 0, or what dp_bus_publish() says
 */
int presence_publish(struct presence *presence, const char *what, const char *name,
	const char *text, const char *content_type);

#endif
