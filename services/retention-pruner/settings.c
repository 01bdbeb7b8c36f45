#include "settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "pruner.h"

#define MAX_DB_FLOOR 16777216

static int check_bytes(const char *name, int64_t bytes, const char *allowed)
{
	char text[32];
	if (allowed == NULL)
		return 0;
	snprintf(text, sizeof(text), "%lld", (long long)bytes);
	dp_config_reject(name, text, allowed);
	return -EINVAL;
}

static int check(const void *data)
{
	const struct pruner_config *config = data;
	struct policies policies;
	int err = policies_load(&policies, config->retention, environ);
	policies_finish(&policies);
	bool too_small = config->max_db_bytes > 0 && config->max_db_bytes < MAX_DB_FLOOR;
	if (check_bytes("MAX_DB_BYTES", config->max_db_bytes,
		    too_small ? "0 or at least 16777216" : NULL) != 0)
		err = -EINVAL;
	if (check_bytes("MIN_FREE_BYTES", config->min_free_bytes,
		    config->ops->check_min_free(config->min_free_bytes)) != 0)
		err = -EINVAL;
	return err;
}

int pruner_main(const struct prune_ops *ops, int argc, char **argv)
{
	const struct dp_option options[] = {
		DP_SERVICE_OPTIONS(struct pruner_config, service),
		{.name = "NODE_NAME",
			.offset = offsetof(struct pruner_config, node_name),
			.fallback = "broker",
			.check = dp_check_name,
			.help = "this board's name, for statistics"},
		{.name = "MQTT_URL",
			.offset = offsetof(struct pruner_config, mqtt_url),
			.fallback = "mqtt://mosquitto:1883",
			.url = true,
			.check = dp_check_mqtt_url,
			.help = "the central broker"},
		{.name = "STORE_URL",
			.offset = offsetof(struct pruner_config, store_url),
			.fallback = ops->url_fallback,
			.url = true,
			.check = ops->check_url,
			.help = ops->url_help},
		{.name = "RETENTION",
			.offset = offsetof(struct pruner_config, retention),
			.fallback = "raw:30d,1m:1y,1h:10y",
			.family = true,
			.help = "how long what is kept: raw:<age>, rollups <size>:<age>; "
				"RETENTION_<NODE> and RETENTION_<NODE>_<SENSOR> say what "
				"is different there"},
		{.name = "MAX_DB_BYTES",
			.type = DP_INT,
			.offset = offsetof(struct pruner_config, max_db_bytes),
			.fallback = "0",
			.min = 0,
			.max = INT64_MAX,
			.help = "what the database may hold, 0 without limit, else at "
				"least 16 MiB; the oldest go first"},
		{.name = "MIN_FREE_BYTES",
			.type = DP_INT,
			.offset = offsetof(struct pruner_config, min_free_bytes),
			.fallback = "0",
			.min = 0,
			.max = INT64_MAX,
			.help = "what must stay free of its volume, 0 for nothing, else at "
				"least 1 MiB"},
		{.name = "PRUNE_INTERVAL_S",
			.type = DP_INT,
			.offset = offsetof(struct pruner_config, interval_s),
			.fallback = "3600",
			.min = 1,
			.max = 604800,
			.help = "seconds between two runs"},
		{.name = "PRUNE_PAUSE_MS",
			.type = DP_INT,
			.offset = offsetof(struct pruner_config, pause_ms),
			.fallback = "20",
			.min = 0,
			.max = 60000,
			.help = "milliseconds between two steps of a run, which are "
				"ingest's"},
	};
	const struct dp_service_info info = {
		.name = ops->service,
		.summary = "deletes readings that are older than the policy says, in short "
			   "steps",
		.table = {options, sizeof(options) / sizeof(options[0])},
		.check = check,
	};
	struct pruner_config config = {.ops = ops};
	struct dp_service service;
	int code = dp_service_init(&service, &info, &config, argc, argv);
	if (code >= 0)
		return code;
	struct pruner *pruner = pruner_start(&service, &config);
	code = dp_service_run(&service, pruner_stop, pruner_health, pruner);
	pruner_destroy(pruner);
	return code;
}
