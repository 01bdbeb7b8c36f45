#include "settings.h"

#include <stddef.h>
#include <string.h>

static const char *check_full(const char *value)
{
	return strcmp(value, "refuse") == 0 || strcmp(value, SETTINGS_DROP_OLDEST) == 0
		       ? NULL
		       : "refuse, " SETTINGS_DROP_OLDEST;
}

static const struct dp_option options[] = {
	DP_SERVICE_OPTIONS(struct publisher_config, service),
	{.name = "NODE_NAME",
		.offset = offsetof(struct publisher_config, node_name),
		.required = true,
		.check = dp_check_name,
		.help = "this node's name, one of its own: 1 to 64 of A-Z a-z 0-9 - . _"},
	{.name = "MQTT_URL",
		.offset = offsetof(struct publisher_config, mqtt_url),
		.fallback = "mqtt://mosquitto:1883",
		.url = true,
		.check = dp_check_mqtt_url,
		.help = "the node's own broker"},
	{.name = "UPSTREAM_URL",
		.offset = offsetof(struct publisher_config, upstream_url),
		.required = true,
		.url = true,
		.check = dp_check_mqtt_url,
		.help = "the central broker: mqtt://[user:password@]host[:port] or "
			"mqtts://..."},
	{.name = "TOPIC_PREFIX",
		.offset = offsetof(struct publisher_config, topic_prefix),
		.fallback = "/data",
		.check = dp_check_topic_prefix,
		.help = "what the topics of readings begin with"},
	{.name = "OUTBOX",
		.offset = offsetof(struct publisher_config, outbox),
		.fallback = "/data/outbox.db",
		.help = "file of the readings that the centre has not answered"},
	{.name = "OUTBOX_MAX_BYTES",
		.type = DP_INT,
		.offset = offsetof(struct publisher_config, outbox_max_bytes),
		.fallback = "1073741824",
		.min = 262144,
		.max = INT64_MAX,
		.help = "how much the outbox may hold"},
	{.name = "OUTBOX_FULL",
		.offset = offsetof(struct publisher_config, outbox_full),
		.fallback = "refuse",
		.check = check_full,
		.help = "what happens then: refuse (samplers keep what they can and count "
			"what they drop) or drop-oldest"},
	{.name = "CLOCK_TRUST",
		.offset = offsetof(struct publisher_config, clock_trust),
		.fallback = "auto",
		.check = dp_check_clock_trust,
		.help = "what makes a clock good: auto, kernel or always"},
	{.name = "CLOCK_WAIT_MAX",
		.offset = offsetof(struct publisher_config, clock_wait_max),
		.fallback = "1h",
		.check = dp_check_duration,
		.help = "how long readings without a time wait for a plausible clock"},
	{.name = "SPILL_AFTER_MS",
		.type = DP_INT,
		.offset = offsetof(struct publisher_config, spill_after_ms),
		.fallback = "2000",
		.min = 0,
		.max = 600000,
		.help = "milliseconds without an answer before a reading goes to the "
			"outbox"},
	{.name = "BATCH_SIZE",
		.type = DP_INT,
		.offset = offsetof(struct publisher_config, batch_size),
		.fallback = "500",
		.min = 1,
		.max = 10000,
		.help = "readings in one message at most"},
};

const struct dp_service_info settings_info = {
	.name = "publisher",
	.summary = "carries a node's readings to the central broker and remembers what it "
		   "has not taken",
	.table = {options, sizeof(options) / sizeof(options[0])},
};
