/*
 * Commands down, answers up: cmd/<node>/<output>/set from the centre becomes
 * local/cmd/<output>, with the caller's response topic behind local/answer/, so that
 * nothing has to be remembered here between the two.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "relay.h"
#include "topic.h"

#define ANSWER_PREFIX "local/answer/"
#define HOLD_MAX_NS INT64_C(60000000000) /* as long as the session at the centre lives */
#define PAYLOAD_MAX 1024
#define RESPONSE_MAX 256
#define CORRELATION_MAX 256
/* With outputs the loop wakes at least once a second; half as much again is a stop. */
#define AWAKE_NS INT64_C(1500000000)
#define SETTLED_NS INT64_C(1000000000) /* to read all that has waited meanwhile */

/* One that waits for its sampler. */
struct held_command {
	char output[DP_NAME_MAX + 1];
	char response[RESPONSE_MAX + 1]; /* empty: none is wanted */
	uint8_t payload[PAYLOAD_MAX], correlation[CORRELATION_MAX];
	size_t len, correlation_len;
	int64_t until_ns; /* since boot; 0: the caller set no end */
	int64_t hold_ns;  /* it is held so long at most */
};

static int64_t boot_ns(const struct relay *r)
{
	return r->service->clock.boot_ns(r->service->clock.data);
}

void commands_note_awake(struct relay *r)
{
	int64_t now = boot_ns(r);
	if (r->awake_ns != 0 && now - r->awake_ns > AWAKE_NS) {
		r->stopped_ns = r->awake_ns;
		r->resumed_ns = now;
	}
	r->awake_ns = now;
}

/* What is read soon after a stop of the process may have waited since it began. */
static int64_t arrival_ns(const struct relay *r)
{
	int64_t now = boot_ns(r);
	if (now - r->awake_ns > AWAKE_NS)
		return r->awake_ns;
	return r->resumed_ns != 0 && now - r->resumed_ns < SETTLED_NS ? r->stopped_ns : now;
}

/* @return whether it is a command for one of our outputs, with its name */
static bool output_of(
	const struct relay *r, const char *topic, char output[DP_NAME_MAX + 1])
{
	char prefix[DP_TOPIC_MAX];
	snprintf(prefix, sizeof(prefix), "cmd/%s", r->config->node_name);
	return dp_topic_node(topic, prefix, "/set", output) == 0;
}

/* What others may have us publish to: nothing that is ours. */
static bool may_answer_to(const struct relay *r, const char *topic)
{
	static const char *const ours[] = {"cmd/", "ack/", "state/", "status/", "stats/",
		"local/", "alarm/", "retention/", "homeassistant/", "$"};
	const char *prefix = r->config->topic_prefix;
	size_t len = strlen(topic);
	if (len == 0 || len > RESPONSE_MAX || strpbrk(topic, "+#") != NULL)
		return false;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strncmp(topic, ours[i], strlen(ours[i])) == 0)
			return false;
	}
	return strncmp(topic, prefix, strlen(prefix)) != 0;
}

static void answer(struct relay *r, const char *topic, const void *correlation,
	size_t correlation_len, const void *text, size_t len)
{
	const struct dp_bus_message message = {.topic = topic,
		.payload = text,
		.len = len,
		.qos = 1,
		.content_type = "application/json",
		.correlation = correlation,
		.correlation_len = correlation_len};
	int err = dp_bus_publish(r->upstream, &message);
	if (err != 0)
		dp_log(DP_LOG_WARN, "cannot answer a command", "topic=%s error=\"%s\"",
			topic, strerror(-err));
}

static void refuse(struct relay *r, const struct held_command *command, const char *why)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "{\"error\":\"%s\"}", why);
	r->commands_refused++;
	dp_log(DP_LOG_WARN, "a command was not carried out", "output=%s reason=\"%s\"",
		command->output, why);
	if (command->response[0] != '\0')
		answer(r, command->response, command->correlation, command->correlation_len,
			text, (size_t)len);
}

/* @return as dp_bus_publish() */
static int pass_on(struct relay *r, const struct held_command *command)
{
	char topic[DP_TOPIC_MAX], response[sizeof(ANSWER_PREFIX) + RESPONSE_MAX], until[24];
	snprintf(topic, sizeof(topic), "local/cmd/%s", command->output);
	snprintf(response, sizeof(response), ANSWER_PREFIX "%s", command->response);
	snprintf(until, sizeof(until), "%" PRId64, command->until_ns);
	const struct dp_property properties[] = {
		{"boot", r->service->clock.boot_id}, {"until", until}};
	const struct dp_bus_message message = {.topic = topic,
		.payload = command->payload,
		.len = command->len,
		.qos = 1,
		.response_topic = command->response[0] != '\0' ? response : NULL,
		.correlation = command->correlation,
		.correlation_len = command->correlation_len,
		.properties = properties,
		.n_properties = command->until_ns != 0 ? 2 : 0};
	return dp_bus_publish(r->local, &message);
}

static bool is_over(const struct relay *r, const struct held_command *command)
{
	return command->until_ns != 0 && boot_ns(r) > command->until_ns;
}

/* Pass it on, or keep it until its sampler is there: nobody else would take it. */
static void forward(struct relay *r, const struct held_command *command)
{
	int err = -ENOTCONN;
	if (is_over(r, command)) {
		refuse(r, command, "expired");
		return;
	}
	if (r->local != NULL && last_is_here(r, command->output))
		err = pass_on(r, command);
	if (err == -ENOTCONN && r->n_commands < RELAY_COMMANDS) {
		struct held_command *held = malloc(sizeof(*held));
		if (held == NULL)
			dp_log_out_of_memory("a command");
		*held = *command;
		r->commands[r->n_commands++] = held;
	} else if (err != 0) {
		refuse(r, command,
			err == -ENOTCONN ? "too many commands wait for their sampler"
					 : "the node's broker does not take it");
	}
}

/* @return NULL, or why it cannot be passed on */
static const char *take(
	struct relay *r, const struct dp_bus_message *message, struct held_command *command)
{
	const char *response = message->response_topic;
	if (message->correlation_len > 0 && message->correlation_len <= CORRELATION_MAX) {
		memcpy(command->correlation, message->correlation,
			message->correlation_len);
		command->correlation_len = message->correlation_len;
	}
	if (response != NULL && may_answer_to(r, response))
		memcpy(command->response, response, strlen(response) + 1);
	else if (response != NULL)
		return "answers may not go to that topic";
	if (message->retain)
		return "it is retained; commands never are";
	if (message->len > PAYLOAD_MAX)
		return "it is longer than 1024 bytes";
	if (message->correlation_len > CORRELATION_MAX)
		return "its correlation data is longer than 256 bytes";
	memcpy(command->payload, message->payload, message->len);
	command->len = message->len;
	return NULL;
}

bool commands_take(struct relay *r, const struct dp_bus_message *message)
{
	struct held_command command = {.len = 0};
	if (!output_of(r, message->topic, command.output))
		return false;
	r->commands_taken++;
	const char *why = take(r, message, &command);
	if (message->expiry_s > 0)
		command.until_ns = arrival_ns(r) + (int64_t)message->expiry_s * 1000000000;
	command.hold_ns = boot_ns(r) + HOLD_MAX_NS;
	if (why != NULL)
		refuse(r, &command, why);
	else
		forward(r, &command);
	return true;
}

void commands_answered(struct relay *r, const struct dp_bus_message *message)
{
	const char *topic = message->topic + strlen(ANSWER_PREFIX);
	if (may_answer_to(r, topic))
		answer(r, topic, message->correlation, message->correlation_len,
			message->payload, message->len);
}

void commands_flush(struct relay *r)
{
	size_t n = r->n_commands;
	struct held_command *held[RELAY_COMMANDS];
	memcpy(held, r->commands, sizeof(held));
	r->n_commands = 0;
	for (size_t i = 0; i < n; i++) {
		if (boot_ns(r) > held[i]->hold_ns)
			refuse(r, held[i], "no sampler has that output now");
		else
			forward(r, held[i]);
		free(held[i]);
	}
}

void commands_subscribe(struct relay *r)
{
	char filter[DP_TOPIC_MAX];
	snprintf(filter, sizeof(filter), "cmd/%s/+/set", r->config->node_name);
	int err = dp_bus_subscribe(r->upstream, filter);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot subscribe", "error=\"%s\"", strerror(-err));
}

int64_t commands_deadline(const struct relay *r)
{
	/* Looked at once a second; it is also how a stop of the process is noticed. */
	return r->n_commands > 0 || last_has_outputs(r) ? relay_now(r) + 1000 : INT64_MAX;
}

void commands_finish(struct relay *r)
{
	for (size_t i = 0; i < r->n_commands; i++) {
		dp_log(DP_LOG_WARN, "a command was not carried out",
			"output=%s reason=\"it waited for its sampler, and the publisher "
			"stops\"",
			r->commands[i]->output);
		free(r->commands[i]);
	}
	r->n_commands = 0;
}
