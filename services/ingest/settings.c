#include "settings.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "ingest.h"
#include "log.h"
#include "number.h"
#include "service.h"
#include "url.h"

#define PROVISIONED "provisioned" /* BROKER_ACCESS */
#define OWN_BROKER "mosquitto"

/* While acknowledgements wait no PINGREQ leaves, and the broker hangs up after 45 s. */
#define PLAIN_WAIT_MAX_MS 5000

static const char *check_plain_wait(const char *value)
{
	int64_t ms;
	return dp_parse_wait_ms(value, PLAIN_WAIT_MAX_MS, &ms) == 0
		       ? NULL
		       : "0, or up to 5s, such as 500ms";
}

static const char *check_broker_access(const char *value)
{
	return strcmp(value, PROVISIONED) == 0 ? NULL : "nothing, or " PROVISIONED;
}

/* The stack's own broker has that name in its Compose network. */
static bool is_own_broker(const struct dp_mqtt_url *url)
{
	return strcmp(url->host, OWN_BROKER) == 0 || dp_mqtt_url_is_here(url);
}

/* Who has just started the stack wonders why no board can reach it. A broker that is
 * somewhere else, or that wants a user, is somebody's who has settled that. */
static void say_who_may_connect(const struct ingest_config *config)
{
	struct dp_mqtt_url url;
	const char *why;
	if (config->broker_access != NULL || config->service.allow_insecure ||
		dp_mqtt_url_parse(config->mqtt_url, &url, &why) != 0 ||
		!is_own_broker(&url) || url.user[0] != '\0')
		return;
	dp_log(DP_LOG_INFO,
		"the broker is reachable from this machine only; "
		"`make provision BROKER=<its address> NODES=\"...\"` lets boards in, "
		"ALLOW_INSECURE=1 anyone",
		NULL);
}

int ingest_main(const struct sink_kind *kind, int argc, char **argv)
{
	const struct dp_option options[] = {
		DP_SERVICE_OPTIONS(struct ingest_config, service),
		{.name = "NODE_NAME",
			.offset = offsetof(struct ingest_config, node_name),
			.fallback = "broker",
			.check = dp_check_name,
			.help = "this board's name, for statistics"},
		{.name = "MQTT_URL",
			.offset = offsetof(struct ingest_config, mqtt_url),
			.fallback = "mqtt://" OWN_BROKER ":1883",
			.url = true,
			.check = dp_check_mqtt_url,
			.help = "the central broker"},
		{.name = "STORE_URL",
			.offset = offsetof(struct ingest_config, store_url),
			.fallback = kind->url_fallback,
			.url = true,
			.check = kind->check_url,
			.help = kind->url_help},
		{.name = "TOPIC_PREFIX",
			.offset = offsetof(struct ingest_config, topic_prefix),
			.fallback = "/data",
			.check = dp_check_topic_prefix,
			.help = "what the topics of readings begin with"},
		{.name = "PRINT_READINGS",
			.type = DP_BOOL,
			.offset = offsetof(struct ingest_config, print_readings),
			.fallback = "0",
			.help = "print each reading on stdout once it is stored: 0 or 1"},
		{.name = "MAX_MESSAGE_BYTES",
			.type = DP_INT,
			.offset = offsetof(struct ingest_config, max_message_bytes),
			.fallback = "262144",
			.min = 1024,
			.max = 8388608,
			.help = "larger messages go to the dead letters"},
		{.name = "DEAD_LETTERS_MAX",
			.type = DP_INT,
			.offset = offsetof(struct ingest_config, dead_letters_max),
			.fallback = "1000",
			.min = 1,
			.max = 1000000,
			.help = "dead letters kept; beyond it the oldest of the topics "
				"with most go"},
		{.name = "PLAIN_WAIT",
			.offset = offsetof(struct ingest_config, plain_wait),
			.fallback = "1s",
			.check = check_plain_wait,
			.help = "how long a plain message may wait for others, so that one "
				"commit stores all: 0 to 5s"},
		{.name = "BROKER_ACCESS",
			.offset = offsetof(struct ingest_config, broker_access),
			.check = check_broker_access,
			.help = "who may connect to the stack's broker: nothing, "
				"or " PROVISIONED
				" once `make provision` has been run; said at "
				"the start"},
		{.name = "BUFFER_BYTES",
			.type = DP_INT,
			.offset = offsetof(struct ingest_config, buffer_bytes),
			.fallback = "2097152",
			.min = 65536,
			.max = 1073741824,
			.help = "memory for messages not yet stored; beyond it the broker "
				"waits"},
	};
	const struct dp_service_info info = {
		.name = kind->service,
		.summary = "stores the readings that arrive at the central broker, each "
			   "exactly once",
		.table = {options, sizeof(options) / sizeof(options[0])},
	};
	struct ingest_config config = {.sink = kind};
	struct dp_service service;
	int code = dp_service_init(&service, &info, &config, argc, argv);
	if (code >= 0)
		return code;
	int err = dp_parse_wait_ms(
		config.plain_wait, PLAIN_WAIT_MAX_MS, &config.plain_wait_ms);
	assert(err == 0); /* it was checked */
	(void)err;
	say_who_may_connect(&config);
	struct ingest *ingest = ingest_start(&service, &config);
	code = dp_service_run(&service, ingest_stop, ingest_health, ingest);
	ingest_destroy(ingest);
	return code;
}
