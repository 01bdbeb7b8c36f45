#include "settings.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "identity.h"
#include "number.h"

#define ANSWER_MS 10000 /* unless it is set */
#define SPILL_MS 2000	/* unless an answer may take that long */
#define ANSWERS 3	/* that are waited for before a reading is spilled */

static const char *check_full(const char *value)
{
	return strcmp(value, "refuse") == 0 || strcmp(value, SETTINGS_DROP_OLDEST) == 0
		       ? NULL
		       : "refuse, " SETTINGS_DROP_OLDEST;
}

/* A duration, or 0. @return 0 or a negative errno */
static int parse_time(const char *value, int64_t *ms)
{
	*ms = 0;
	return strcmp(value, "0") == 0 ? 0 : dp_parse_duration_ms(value, ms);
}

static const char *check_answer_within(const char *value)
{
	int64_t ms;
	return parse_time(value, &ms) == 0 && ms <= DP_WAIT_MAX_MS
		       ? NULL
		       : "0, or a number and ms, s or m, such as 10s, at most 60s";
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
	{.name = "ANSWER_WITHIN",
		.offset = offsetof(struct publisher_config, answer_within),
		.check = check_answer_within,
		.help = "how long the centre may gather readings before it stores them in "
			"one go and answers; 0: at once; 10s unless set, or a third of "
			"SPILL_AFTER_MS"},
	{.name = "SPILL_AFTER_MS",
		.type = DP_INT,
		.offset = offsetof(struct publisher_config, spill_after_ms),
		.min = 0,
		.max = 600000,
		.help = "milliseconds without an answer before a reading goes to the "
			"outbox; unless set, three times ANSWER_WITHIN, at least 2000"},
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

void settings_derive(struct publisher_config *config)
{
	config->spill_auto = config->spill_after_ms == SETTINGS_AUTO;
	config->answer_ms = ANSWER_MS;
	/* Else an answer that is in time would come after the spill. */
	if (config->spill_after_ms > 0 && config->spill_after_ms / ANSWERS < ANSWER_MS)
		config->answer_ms = config->spill_after_ms / ANSWERS;
	if (config->answer_within != NULL) {
		int err = parse_time(config->answer_within, &config->answer_ms);
		assert(err == 0); /* it was checked when it was read */
		(void)err;
	}
	config->within_ms = ANSWERS * config->answer_ms;
	if (config->spill_auto)
		config->spill_after_ms =
			config->within_ms > SPILL_MS ? config->within_ms : SPILL_MS;
	if (config->within_ms > config->spill_after_ms)
		config->within_ms = config->spill_after_ms;
}
