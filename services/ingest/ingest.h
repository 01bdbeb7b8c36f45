/*
 * ingest: takes what arrives at the centre, stores it, and only then answers.
 * Messages collect while a transaction is being committed, and as long as their senders
 * allow; the next one takes them all.
 */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "service.h"
#include "sink.h"

struct ingest_config {
	struct dp_service_config service;
	const struct sink_kind *sink; /**< where readings are stored */
	const char *node_name;
	const char *mqtt_url;
	const char *store_url;
	const char *topic_prefix;
	const char *plain_wait;
	const char *broker_access; /**< NULL: not set */
	bool print_readings;
	int64_t max_message_bytes;
	int64_t dead_letters_max;
	int64_t buffer_bytes;
	int64_t plain_wait_ms; /**< of plain_wait */
};

struct ingest;

/** Begin; the store is opened from the loop. */
struct ingest *ingest_start(struct dp_service *service, const struct ingest_config *config);

/** As dp_service_run() wants it. */
void ingest_stop(void *ingest);
const char *ingest_health(void *ingest);

/** After the loop has ended. */
void ingest_destroy(struct ingest *ingest);

#endif
