/*
 * The pruner: removes readings that are older than the policy says, bit by bit. Called on
 * the loop's thread; the store is asked on the work queue, one call at a time.
 */
#ifndef PRUNER_PRUNER_H
#define PRUNER_PRUNER_H

#include <stdint.h>

#include "prune_ops.h"
#include "service.h"

struct pruner_config {
	struct dp_service_config service;
	const char *node_name;
	const char *mqtt_url;
	const char *store_url;
	const char *retention;
	int64_t max_db_bytes, min_free_bytes;
	int64_t interval_s;
	int64_t pause_ms;
	const struct prune_ops *ops; /**< the program's store */
};

struct pruner;

/** The store is opened later: until it could be, health says why not. Never NULL. */
struct pruner *pruner_start(struct dp_service *service, const struct pruner_config *config);

/** As dp_service_run() wants them; health is NULL, or in words what is wrong. */
void pruner_stop(void *pruner);
const char *pruner_health(void *pruner);

/** After the loop has ended. */
void pruner_destroy(struct pruner *pruner);

#endif
