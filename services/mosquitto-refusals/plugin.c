/*
 * What mosquitto calls. It is loaded before dynamic-security, sees each login first, and
 * registers itself for rights behind every other plugin once all are loaded: there it is
 * asked for exactly what nobody allowed. It answers MOSQ_ERR_PLUGIN_DEFER, always.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mosquitto.h>

#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "notices.h"
#include "number.h"
#include "quote.h"

#define TOPIC "stats/broker/mosquitto/mosquitto"
#define DAY_S 86400
#define LOG_PERIOD_MS 3600000
#define STATS_PERIOD_MS 60000

static const char *const action_names[ACTIONS] = {
	"publish", "subscribe", "unsubscribe", "receive", "login"};

struct refusals {
	mosquitto_plugin_id_t *id;
	/* A stranger who tries many logins takes no line from those who are known. */
	struct notices rights, logins;
	uint64_t counts[ACTIONS];
	/* The login that has just begun, until anything else happens. */
	const struct mosquitto *login;
	int64_t stats_period_ms;
	int64_t looked_ms, published_ms;
	bool behind_all;
	bool changed;
};

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void add_field(
	char *line, size_t size, const char *key, const char *value, size_t most)
{
	char quoted[257];
	if (value == NULL)
		return;
	quote(value, quoted, most);
	size_t len = strlen(line);
	snprintf(line + len, size - len, "%s%s=%s", len == 0 ? "" : " ", key, quoted);
}

static const char *why(enum action action)
{
	return action == ACTION_LOGIN ? "refused: login" : "refused: not among its rights";
}

static void refused(struct refusals *refusals, const struct mosquitto *client,
	enum action action, const char *topic)
{
	char fields[NOTICE_FIELDS_SIZE] = "";
	const char *user = mosquitto_client_username(client);
	const char *address = mosquitto_client_address(client);
	add_field(fields, sizeof(fields), "user", user, 97);
	add_field(fields, sizeof(fields), "client", mosquitto_client_id(client), 97);
	add_field(fields, sizeof(fields), "action", action_names[action], 97);
	add_field(fields, sizeof(fields), "topic", topic, 257);
	add_field(fields, sizeof(fields), "address", address, 97);
	refusals->counts[action]++;
	/* Whoever may not have the statistics would make them change by each delivery. */
	if (action != ACTION_RECEIVE || strcmp(topic, TOPIC) != 0)
		refusals->changed = true;
	/* Of a login, the name is only what a stranger says. */
	bool login = action == ACTION_LOGIN;
	const char *who = login ? address : user;
	if (notices_add(login ? &refusals->logins : &refusals->rights, action,
		    who == NULL ? "" : who, fields, now_ms()))
		mosquitto_log_printf(MOSQ_LOG_WARNING,
			"level=warn svc=mosquitto msg=\"%s\" %s", why(action), fields);
}

static void say_due(struct notices *notices, int64_t now)
{
	uint64_t count;
	const struct notice *notice;
	while ((notice = notices_due(notices, now, &count)) != NULL) {
		const char *of =
			notices_shared(notices, notice) ? "of several, the last" : "again";
		mosquitto_log_printf(MOSQ_LOG_WARNING,
			"level=warn svc=mosquitto msg=\"%s, %s\" %s count=%" PRIu64,
			why(notice->action), of, notice->fields, count);
	}
}

/* Retained: it is published only when it changes. A failure leaves it to the next period.
 */
static void publish_counts(struct refusals *refusals)
{
	char json[256] = "{";
	size_t len = 1;
	for (size_t i = 0; i < ACTIONS; i++)
		len += (size_t)snprintf(json + len, sizeof(json) - len,
			"%s\"refused_%s\":%" PRIu64, i == 0 ? "" : ",", action_names[i],
			refusals->counts[i]);
	len += (size_t)snprintf(json + len, sizeof(json) - len, "}");
	int rc = mosquitto_broker_publish_copy(NULL, TOPIC, (int)len, json, 0, true, NULL);
	refusals->changed = rc != MOSQ_ERR_SUCCESS;
}

static int on_rights(int event, void *data, void *user)
{
	(void)event;
	struct refusals *refusals = user;
	const struct mosquitto_evt_acl_check *check = data;
	refusals->login = NULL;
	switch (check->access) {
	case MOSQ_ACL_WRITE:
		refused(refusals, check->client, ACTION_PUBLISH, check->topic);
		break;
	case MOSQ_ACL_SUBSCRIBE:
		refused(refusals, check->client, ACTION_SUBSCRIBE, check->topic);
		break;
	case MOSQ_ACL_UNSUBSCRIBE:
		refused(refusals, check->client, ACTION_UNSUBSCRIBE, check->topic);
		break;
	default:
		refused(refusals, check->client, ACTION_RECEIVE, check->topic);
		break;
	}
	return MOSQ_ERR_PLUGIN_DEFER;
}

/* Whether it is refused, nobody says: the broker then ends the connection before it turns
 * to anything else. */
static int on_login(int event, void *data, void *user)
{
	(void)event;
	struct refusals *refusals = user;
	const struct mosquitto_evt_basic_auth *login = data;
	refusals->login = login->client;
	return MOSQ_ERR_PLUGIN_DEFER;
}

static int on_disconnect(int event, void *data, void *user)
{
	(void)event;
	struct refusals *refusals = user;
	const struct mosquitto_evt_disconnect *disconnect = data;
	if (disconnect->client == refusals->login)
		refused(refusals, disconnect->client, ACTION_LOGIN, NULL);
	refusals->login = NULL;
	return MOSQ_ERR_SUCCESS;
}

/* Called after each turn of the broker's loop. */
static int on_tick(int event, void *data, void *user)
{
	(void)event, (void)data;
	struct refusals *refusals = user;
	refusals->login = NULL;
	/* Fails when there is no memory: the next turn tries again. */
	if (!refusals->behind_all)
		refusals->behind_all =
			mosquitto_callback_register(refusals->id, MOSQ_EVT_ACL_CHECK,
				on_rights, NULL, refusals) == MOSQ_ERR_SUCCESS;
	int64_t now = now_ms();
	if (now - refusals->looked_ms < 100)
		return MOSQ_ERR_SUCCESS;
	refusals->looked_ms = now;
	say_due(&refusals->rights, now);
	say_due(&refusals->logins, now);
	if (refusals->changed && refusals->stats_period_ms > 0 &&
		now - refusals->published_ms >= refusals->stats_period_ms) {
		refusals->published_ms = now;
		publish_counts(refusals);
	}
	return MOSQ_ERR_SUCCESS;
}

static const struct {
	int event;
	MOSQ_FUNC_generic_callback callback;
} at_start[] = {
	{MOSQ_EVT_BASIC_AUTH, on_login},
	{MOSQ_EVT_DISCONNECT, on_disconnect},
	{MOSQ_EVT_TICK, on_tick},
};

#define AT_START (sizeof(at_start) / sizeof(at_start[0]))

static int64_t *period_of(struct refusals *refusals, const char *option, int64_t *least_s)
{
	*least_s = 1;
	if (strcmp(option, "log_period_s") == 0)
		return &refusals->rights.period_ms;
	*least_s = 0;
	return strcmp(option, "stats_period_s") == 0 ? &refusals->stats_period_ms : NULL;
}

static int read_options(
	struct refusals *refusals, const struct mosquitto_opt *options, int count)
{
	refusals->rights.period_ms = LOG_PERIOD_MS;
	refusals->stats_period_ms = STATS_PERIOD_MS;
	for (int i = 0; i < count; i++) {
		int64_t least_s, seconds;
		const char *value = options[i].value == NULL ? "" : options[i].value;
		int64_t *period = period_of(refusals, options[i].key, &least_s);
		if (period == NULL) {
			mosquitto_log_printf(MOSQ_LOG_ERR,
				"refusals.so: plugin_opt_%s is unknown: there are "
				"log_period_s and "
				"stats_period_s",
				options[i].key);
			return MOSQ_ERR_INVAL;
		}
		if (dp_parse_i64(value, least_s, DAY_S, &seconds) != 0) {
			mosquitto_log_printf(MOSQ_LOG_ERR,
				"refusals.so: plugin_opt_%s is %s and must be %" PRId64
				" to %d, in seconds",
				options[i].key, value, least_s, DAY_S);
			return MOSQ_ERR_INVAL;
		}
		*period = seconds * 1000;
	}
	refusals->logins.period_ms = refusals->rights.period_ms;
	return MOSQ_ERR_SUCCESS;
}

/* What was registered before one fails goes with the broker, which does not start then. */
static int register_all(struct refusals *refusals)
{
	for (size_t i = 0; i < AT_START; i++) {
		int rc = mosquitto_callback_register(refusals->id, at_start[i].event,
			at_start[i].callback, NULL, refusals);
		if (rc == MOSQ_ERR_ALREADY_EXISTS)
			mosquitto_log_printf(MOSQ_LOG_ERR,
				"refusals.so: this plugin is in the configuration twice");
		if (rc != MOSQ_ERR_SUCCESS)
			return rc;
	}
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
	for (int i = 0; i < supported_version_count; i++) {
		if (supported_versions[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	}
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
	struct mosquitto_opt *options, int option_count)
{
	struct refusals *refusals = calloc(1, sizeof(*refusals));
	if (refusals == NULL)
		return MOSQ_ERR_NOMEM;
	refusals->id = identifier;
	/* What is retained may be of an earlier run. */
	refusals->changed = true;
	int rc = read_options(refusals, options, option_count);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = register_all(refusals);
	if (rc != MOSQ_ERR_SUCCESS) {
		free(refusals);
		return rc;
	}
	*userdata = refusals;
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(
	void *userdata, struct mosquitto_opt *options, int option_count)
{
	(void)options, (void)option_count;
	struct refusals *refusals = userdata;
	if (refusals == NULL)
		return MOSQ_ERR_SUCCESS;
	say_due(&refusals->rights, INT64_MAX);
	say_due(&refusals->logins, INT64_MAX);
	for (size_t i = 0; i < AT_START; i++)
		mosquitto_callback_unregister(
			refusals->id, at_start[i].event, at_start[i].callback, NULL);
	if (refusals->behind_all)
		mosquitto_callback_unregister(
			refusals->id, MOSQ_EVT_ACL_CHECK, on_rights, NULL);
	free(refusals);
	return MOSQ_ERR_SUCCESS;
}
