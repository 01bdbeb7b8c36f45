#include "settings.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "identity.h"
#include "log.h"
#include "number.h"
#include "url.h"

#define ANSWER_MS 10000 /* unless it is set */
#define SPILL_MS 2000	/* unless an answer may take that long */
#define ANSWERS 3	/* that are waited for before a reading is spilled */
#define SEND_EVERY_MAX_MS 600000
#define KEEPALIVE_S 30
#define KEEPALIVE_MAX_S 120

#define DEFLATE "deflate" /* COMPRESS */
#define CENTRE "broker"	  /* NODE_NAME of the centre's services, unless it is set */

/* LINK=metered, where the settings themselves say nothing. */
#define METERED "metered"
#define METERED_SEND_MS 60000
#define METERED_STATS_S 600

static const char *check_full(const char *value)
{
	return strcmp(value, "refuse") == 0 || strcmp(value, SETTINGS_DROP_OLDEST) == 0
		       ? NULL
		       : "refuse, " SETTINGS_DROP_OLDEST;
}

static const char *check_answer_within(const char *value)
{
	int64_t ms;
	return dp_parse_wait_ms(value, DP_WAIT_MAX_MS, &ms) == 0
		       ? NULL
		       : "0, or a number and ms, s or m, such as 10s, at most 60s";
}

static const char *check_send_every(const char *value)
{
	int64_t ms;
	return dp_parse_wait_ms(value, SEND_EVERY_MAX_MS, &ms) == 0
		       ? NULL
		       : "0, or a number and ms, s or m, such as 60s, at most 10m";
}

static const char *check_link(const char *value)
{
	return strcmp(value, "lan") == 0 || strcmp(value, METERED) == 0 ? NULL
									: "lan, " METERED;
}

static const char *check_compress(const char *value)
{
	return strcmp(value, "off") == 0 || strcmp(value, DEFLATE) == 0 ? NULL
									: "off, " DEFLATE;
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
	{.name = "LINK",
		.offset = offsetof(struct publisher_config, link),
		.fallback = "lan",
		.check = check_link,
		.help = "lan, or metered where each byte and each transmission costs: then "
			"SEND_EVERY is 60s, COMPRESS deflate and STATS_PERIOD_S 600 unless "
			"they are set"},
	{.name = "SEND_EVERY",
		.offset = offsetof(struct publisher_config, send_every),
		.check = check_send_every,
		.help = "how long readings, states and statistics are gathered and then "
			"sent together; 0 unless set: at once"},
	{.name = "COMPRESS",
		.offset = offsetof(struct publisher_config, compress),
		.check = check_compress,
		.help = "off, or deflate for batches to a centre that takes it; off unless "
			"set"},
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
			"outbox; unless set, SEND_EVERY and three times ANSWER_WITHIN, at "
			"least 2000"},
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

/* Of one that was checked when it was read. @return milliseconds, or what it is unless set
 */
static int64_t time_of(const char *value, int64_t unless_ms)
{
	int64_t ms = unless_ms;
	int err = value == NULL ? 0 : dp_parse_wait_ms(value, INT64_MAX, &ms);
	assert(err == 0);
	(void)err;
	return ms;
}

static void derive_times(struct publisher_config *config)
{
	config->spill_auto = config->spill_after_ms == SETTINGS_AUTO;
	int64_t answer_ms = ANSWER_MS;
	/* Else an answer that is in time would come after the spill. */
	if (config->spill_after_ms > 0 && config->spill_after_ms / ANSWERS < ANSWER_MS)
		answer_ms = config->spill_after_ms / ANSWERS;
	config->answer_ms = time_of(config->answer_within, answer_ms);
	config->within_ms = config->send_every_ms + ANSWERS * config->answer_ms;
	if (config->spill_auto)
		config->spill_after_ms =
			config->within_ms > SPILL_MS ? config->within_ms : SPILL_MS;
	if (config->within_ms > config->spill_after_ms)
		config->within_ms = config->spill_after_ms;
}

static void derive_statistics(struct publisher_config *config)
{
	int64_t *period_s = &config->service.stats_period_s;
	if (config->metered && !dp_config_given("STATS_PERIOD_S"))
		*period_s = METERED_STATS_S;
	if (*period_s < config->send_every_ms / 1000)
		*period_s = config->send_every_ms / 1000;
	if (config->metered || config->send_every_ms > 0)
		config->stats_every_ms = *period_s * 1000;
}

void settings_derive(struct publisher_config *config)
{
	bool metered = strcmp(config->link, METERED) == 0;
	const char *compress = config->compress;
	config->metered = metered;
	config->send_every_ms = time_of(config->send_every, metered ? METERED_SEND_MS : 0);
	config->deflate = compress == NULL ? metered : strcmp(compress, DEFLATE) == 0;
	/* Twice as long: as long as readings are sent, nothing else need be. */
	int64_t keepalive_s = metered ? KEEPALIVE_MAX_S : 2 * config->send_every_ms / 1000;
	if (keepalive_s < KEEPALIVE_S)
		keepalive_s = KEEPALIVE_S;
	config->keepalive_s =
		(int)(keepalive_s < KEEPALIVE_MAX_S ? keepalive_s : KEEPALIVE_MAX_S);
	derive_times(config);
	derive_statistics(config);
}

void settings_warn(const struct publisher_config *config)
{
	struct dp_mqtt_url url;
	const char *why;
	int err = dp_mqtt_url_parse(config->upstream_url, &url, &why);
	assert(err == 0); /* it was checked */
	(void)err;
	if (strcmp(config->node_name, CENTRE) == 0)
		dp_log(DP_LOG_WARN,
			"that is what the centre calls itself in stats/: nobody can tell "
			"this node's statistics from the centre's; give it another name",
			"name=NODE_NAME value=%s", CENTRE);
	if (!config->service.allow_insecure && !url.tls && url.user[0] == '\0' &&
		!dp_mqtt_url_is_here(&url))
		dp_log(DP_LOG_WARN,
			"readings are sent without encryption and without an identity: "
			"anyone on the network could send them in this node's name; "
			"`make provision-node` at the centre gives it one",
			"name=UPSTREAM_URL broker=%s:%d", url.host, url.port);
}
