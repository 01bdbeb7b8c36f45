/*
 * Commands down, answers up: cmd/<node>/<output>/set from the centre becomes
 * local/cmd/<output>, and its answer comes on local/answer/<id>/<response topic>.
 *
 * Each command with a response topic is in one place until it is answered: held for its
 * sampler, or sent to it. Either lasts 60 s at most; a sampler or a broker that goes ends
 * what was sent to it, and a stop of the publisher ends all. Only a publisher that dies
 * forgets: then the answer of the sampler is passed on by the next one if it comes so late,
 * and otherwise the caller's message expiry is all that ends the command.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "random.h"
#include "relay.h"
#include "topic.h"

#define ANSWER_PREFIX "local/answer/"
#define HOLD_MAX_NS INT64_C(60000000000) /* as long as the session at the centre lives */
#define SENT_MAX_NS                                                                        \
	INT64_C(60000000000) /* a sampler answers at once, unless it is frozen */
#define ID_DIGITS 16
#define PAYLOAD_MAX 1024
#define RESPONSE_MAX 256
#define CORRELATION_MAX 256
/* With outputs the loop wakes at least once a second; half as much again is a stop. */
#define AWAKE_NS INT64_C(1500000000)
#define SETTLED_NS INT64_C(1000000000) /* to read all that has waited meanwhile */

#define STOPS "the publisher stops"
#define UNKNOWN "; whether it was carried out is not known"

/* One that waits for its sampler, or for its answer. */
struct command {
	uint64_t id; /* once it is sent */
	char sampler[DP_NAME_MAX + 1];
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
		/* Before a disconnect there is no time for a broker's window. */
		.qos = r->stopping ? 0 : 1,
		.content_type = "application/json",
		.correlation = correlation,
		.correlation_len = correlation_len};
	int err = dp_bus_publish(r->uplink.bus, &message);
	if (err != 0)
		dp_log(DP_LOG_WARN, "cannot answer a command", "topic=%s error=\"%s\"",
			topic, strerror(-err));
}

static void answer_error(struct relay *r, const struct command *command, const char *why)
{
	char text[160];
	int len = snprintf(text, sizeof(text), "{\"error\":\"%s\"}", why);
	r->commands_refused++;
	if (command->response[0] != '\0')
		answer(r, command->response, command->correlation, command->correlation_len,
			text, (size_t)len);
}

static void refuse(struct relay *r, const struct command *command, const char *why)
{
	dp_log(DP_LOG_WARN, "a command was not carried out", "output=%s reason=\"%s\"",
		command->output, why);
	answer_error(r, command, why);
}

/* It was sent to its sampler, and who knows what has become of it. */
static void give_up(struct relay *r, const struct command *command, const char *why)
{
	dp_log(DP_LOG_WARN, "a command was not answered; look at the output's state",
		"output=%s sampler=%s reason=\"%s\"", command->output, command->sampler,
		why);
	answer_error(r, command, why);
}

/* Its answer has to come now. */
static void note_sent(
	struct relay *r, const struct command *command, const char *sampler, uint64_t id)
{
	struct command *sent = malloc(sizeof(*sent));
	if (sent == NULL)
		dp_log_out_of_memory("a command");
	*sent = *command;
	sent->id = id;
	sent->hold_ns = boot_ns(r) + SENT_MAX_NS;
	snprintf(sent->sampler, sizeof(sent->sampler), "%s", sampler);
	r->sent[r->n_sent++] = sent;
}

static void drop_sent(struct relay *r, size_t i)
{
	free(r->sent[i]);
	r->n_sent--;
	memmove(&r->sent[i], &r->sent[i + 1], (r->n_sent - i) * sizeof(*r->sent));
}

static uint64_t new_id(struct relay *r)
{
	if (r->next_sent == 0) {
		dp_random(&r->next_sent, sizeof(r->next_sent));
		r->next_sent &= ~UINT64_C(0xffffffff);
	}
	return ++r->next_sent;
}

/* @return as dp_bus_publish() */
static int pass_on(struct relay *r, const struct command *command, const char *sampler)
{
	char topic[DP_TOPIC_MAX],
		response[sizeof(ANSWER_PREFIX) + ID_DIGITS + 1 + RESPONSE_MAX], until[24];
	bool answered = command->response[0] != '\0';
	uint64_t id = new_id(r);
	snprintf(topic, sizeof(topic), "local/cmd/%s", command->output);
	snprintf(response, sizeof(response), ANSWER_PREFIX "%016" PRIx64 "/%s", id,
		command->response);
	snprintf(until, sizeof(until), "%" PRId64, command->until_ns);
	const struct dp_property properties[] = {
		{"boot", r->service->clock.boot_id}, {"until", until}};
	const struct dp_bus_message message = {.topic = topic,
		.payload = command->payload,
		.len = command->len,
		.qos = 1,
		.response_topic = answered ? response : NULL,
		.correlation = command->correlation,
		.correlation_len = command->correlation_len,
		.properties = properties,
		.n_properties = command->until_ns != 0 ? 2 : 0};
	int err = dp_bus_publish(r->local, &message);
	if (err == 0 && answered)
		note_sent(r, command, sampler, id);
	return err;
}

static bool is_over(const struct relay *r, const struct command *command)
{
	return command->until_ns != 0 && boot_ns(r) > command->until_ns;
}

/* Pass it on, or keep it until its sampler is there: nobody else would take it. */
static void forward(struct relay *r, const struct command *command)
{
	const char *sampler = listeners_of(r, command->output);
	int err = -ENOTCONN;
	if (is_over(r, command) || r->stopping) {
		refuse(r, command, r->stopping ? STOPS : "expired");
		return;
	}
	if (r->local != NULL && sampler != NULL && r->n_sent < RELAY_SENT)
		err = pass_on(r, command, sampler);
	if (err == -ENOTCONN && r->n_commands < RELAY_COMMANDS) {
		struct command *held = malloc(sizeof(*held));
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
	struct relay *r, const struct dp_bus_message *message, struct command *command)
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
	struct command command = {.len = 0};
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
	const char *text = message->topic + strlen(ANSWER_PREFIX);
	char *end;
	uint64_t id = strtoull(text, &end, 16);
	if (end != text + ID_DIGITS || *end != '/' || message->retain)
		return;
	if (id >> 32 != r->next_sent >> 32) {
		/* To one that a publisher before us has sent, and died. */
		if (may_answer_to(r, end + 1))
			answer(r, end + 1, message->correlation, message->correlation_len,
				message->payload, message->len);
		return;
	}
	for (size_t i = 0; i < r->n_sent; i++) {
		const struct command *sent = r->sent[i];
		if (sent->id != id)
			continue;
		answer(r, sent->response, sent->correlation, sent->correlation_len,
			message->payload, message->len);
		drop_sent(r, i);
		return;
	}
}

void commands_lost(struct relay *r, const char *sampler)
{
	size_t i = 0;
	while (i < r->n_sent) {
		if (sampler != NULL && strcmp(r->sent[i]->sampler, sampler) != 0) {
			i++;
			continue;
		}
		give_up(r, r->sent[i], "the sampler was gone before it answered" UNKNOWN);
		drop_sent(r, i);
	}
}

static void expire_sent(struct relay *r)
{
	while (r->n_sent > 0 && boot_ns(r) > r->sent[0]->hold_ns) {
		give_up(r, r->sent[0], "the sampler does not answer" UNKNOWN);
		drop_sent(r, 0);
	}
}

void commands_flush(struct relay *r)
{
	size_t n = r->n_commands;
	struct command *held[RELAY_COMMANDS];
	expire_sent(r);
	if (n == 0)
		return;
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
	int err = dp_bus_subscribe(r->uplink.bus, filter);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot subscribe", "error=\"%s\"", strerror(-err));
}

int64_t commands_deadline(const struct relay *r)
{
	/* Looked at once a second; it is also how a stop of the process is noticed. */
	return r->n_commands > 0 || r->n_sent > 0 || last_has_outputs(r)
		       ? relay_now(r) + 1000
		       : INT64_MAX;
}

void commands_finish(struct relay *r)
{
	for (size_t i = 0; i < r->n_commands; i++) {
		refuse(r, r->commands[i], STOPS);
		free(r->commands[i]);
	}
	r->n_commands = 0;
	while (r->n_sent > 0) {
		give_up(r, r->sent[0], STOPS UNKNOWN);
		drop_sent(r, 0);
	}
}
