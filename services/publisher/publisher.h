/*
 * The publisher: a relay with a memory between the node's broker and the central
 * one. It accepts a reading when the centre has stored it or when it stands in the
 * outbox, whichever is first.
 */
#ifndef PUBLISHER_PUBLISHER_H
#define PUBLISHER_PUBLISHER_H

#include "settings.h"

struct relay;

struct relay *publisher_start(
	struct dp_service *service, const struct publisher_config *config);

/** As dp_service_run() wants it. */
void publisher_stop(void *relay);
const char *publisher_health(void *relay);

/** After the loop has ended. */
void publisher_destroy(struct relay *relay);

#endif
