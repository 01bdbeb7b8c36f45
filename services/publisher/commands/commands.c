#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "random.h"
#include "topic.h"

#define ANSWER_PREFIX "local/answer/"
#define WAIT_MAX_NS INT64_C(60000000000) /* as long as the session at the centre lives */
#define SENT_MAX_NS                                                                        \
	INT64_C(60000000000) /* a sampler answers at once, unless it is frozen */
#define ID_DIGITS 16
#define PAYLOAD_MAX 1024
#define RESPONSE_MAX 256
#define CORRELATION_MAX 256
/* With outputs the loop wakes at least once a second: after this it was stopped. */
#define AWAKE_NS INT64_C(1500000000)
#define CATCH_UP_NS INT64_C(1000000000) /* to read all that has waited meanwhile */

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
	int64_t wait_ns;  /* it waits so long at most */
};

static int64_t boot_ns(const struct commands *c)
{
	return c->clock->boot_ns(c->clock->data);
}

void commands_note_awake(struct commands *c)
{
	int64_t now = boot_ns(c);
	if (c->awake_ns != 0 && now - c->awake_ns > AWAKE_NS) {
		c->stopped_ns = c->awake_ns;
		c->resumed_ns = now;
	}
	c->awake_ns = now;
}

/* What is read soon after a stop of the process may have waited since it began. */
static int64_t arrival_ns(const struct commands *c)
{
	int64_t now = boot_ns(c);
	if (now - c->awake_ns > AWAKE_NS)
		return c->awake_ns;
	return c->resumed_ns != 0 && now - c->resumed_ns < CATCH_UP_NS ? c->stopped_ns
								       : now;
}

/* @return whether it is a command for one of our outputs, with its name */
static bool output_of(
	const struct commands *c, const char *topic, char output[DP_NAME_MAX + 1])
{
	char prefix[DP_TOPIC_MAX];
	snprintf(prefix, sizeof(prefix), "cmd/%s", c->config->node_name);
	return dp_topic_node(topic, prefix, "/set", output) == 0;
}

/* What others may have us publish to: nothing that is ours. */
static bool may_answer_to(const struct commands *c, const char *topic)
{
	static const char *const ours[] = {"cmd/", "ack/", "state/", "status/", "stats/",
		"local/", "alarm/", "retention/", "homeassistant/", "$"};
	const char *prefix = c->config->topic_prefix;
	size_t len = strlen(topic);
	if (len == 0 || len > RESPONSE_MAX || strpbrk(topic, "+#") != NULL)
		return false;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strncmp(topic, ours[i], strlen(ours[i])) == 0)
			return false;
	}
	return strncmp(topic, prefix, strlen(prefix)) != 0;
}

static void answer(struct commands *c, const char *topic, const void *correlation,
	size_t correlation_len, const void *text, size_t len)
{
	const struct dp_bus_message message = {.topic = topic,
		.payload = text,
		.len = len,
		/* With QoS 1 it might still wait in the library when we disconnect. */
		.qos = c->stopping ? 0 : 1,
		.content_type = "application/json",
		.correlation = correlation,
		.correlation_len = correlation_len};
	int err = dp_bus_publish(c->centre, &message);
	if (err != 0)
		dp_log(DP_LOG_WARN, "cannot answer a command", "topic=%s error=\"%s\"",
			topic, strerror(-err));
}

static void answer_error(struct commands *c, const struct command *command, const char *why)
{
	char text[160];
	int len = snprintf(text, sizeof(text), "{\"error\":\"%s\"}", why);
	c->refused++;
	if (command->response[0] != '\0')
		answer(c, command->response, command->correlation, command->correlation_len,
			text, (size_t)len);
}

static void refuse(struct commands *c, const struct command *command, const char *why)
{
	dp_log(DP_LOG_WARN, "a command was not carried out", "output=%s reason=\"%s\"",
		command->output, why);
	answer_error(c, command, why);
}

/* It was sent to its sampler: whether it was carried out is not known. */
static void give_up(struct commands *c, const struct command *command, const char *why)
{
	dp_log(DP_LOG_WARN, "a command was not answered; look at the output's state",
		"output=%s sampler=%s reason=\"%s\"", command->output, command->sampler,
		why);
	answer_error(c, command, why);
}

/* Its answer has to come now. */
static void note_sent(
	struct commands *c, const struct command *command, const char *sampler, uint64_t id)
{
	struct command *sent = malloc(sizeof(*sent));
	if (sent == NULL)
		dp_log_out_of_memory("a command");
	*sent = *command;
	sent->id = id;
	sent->wait_ns = boot_ns(c) + SENT_MAX_NS;
	snprintf(sent->sampler, sizeof(sent->sampler), "%s", sampler);
	c->sent[c->n_sent++] = sent;
}

static void drop_sent(struct commands *c, size_t i)
{
	free(c->sent[i]);
	c->n_sent--;
	memmove(&c->sent[i], &c->sent[i + 1], (c->n_sent - i) * sizeof(*c->sent));
}

static uint64_t new_id(struct commands *c)
{
	if (c->last_id == 0) {
		dp_random(&c->last_id, sizeof(c->last_id));
		c->last_id &= ~UINT64_C(0xffffffff);
	}
	return ++c->last_id;
}

/* @return as dp_bus_publish() */
static int pass_on(struct commands *c, const struct command *command, const char *sampler)
{
	char topic[DP_TOPIC_MAX],
		response[sizeof(ANSWER_PREFIX) + ID_DIGITS + 1 + RESPONSE_MAX], until[24];
	bool answered = command->response[0] != '\0';
	uint64_t id = new_id(c);
	snprintf(topic, sizeof(topic), "local/cmd/%s", command->output);
	snprintf(response, sizeof(response), ANSWER_PREFIX "%016" PRIx64 "/%s", id,
		command->response);
	snprintf(until, sizeof(until), "%" PRId64, command->until_ns);
	const struct dp_property properties[] = {
		{"boot", c->clock->boot_id}, {"until", until}};
	const struct dp_bus_message message = {.topic = topic,
		.payload = command->payload,
		.len = command->len,
		.qos = 1,
		.response_topic = answered ? response : NULL,
		.correlation = command->correlation,
		.correlation_len = command->correlation_len,
		.properties = properties,
		.n_properties = command->until_ns != 0 ? 2 : 0};
	int err = dp_bus_publish(c->local, &message);
	if (err == 0 && answered)
		note_sent(c, command, sampler, id);
	return err;
}

static bool is_over(const struct commands *c, const struct command *command)
{
	return command->until_ns != 0 && boot_ns(c) > command->until_ns;
}

/* Pass it on, or keep it until its sampler is there: nobody else would take it. */
static void forward(struct commands *c, const struct command *command)
{
	const char *sampler = listeners_of(&c->listeners, command->output);
	int err = -ENOTCONN;
	if (is_over(c, command) || c->stopping) {
		refuse(c, command, c->stopping ? STOPS : "expired");
		return;
	}
	if (c->local != NULL && sampler != NULL && c->n_sent < COMMANDS_SENT)
		err = pass_on(c, command, sampler);
	if (err == -ENOTCONN && c->n_waiting < COMMANDS_WAITING) {
		struct command *waiting = malloc(sizeof(*waiting));
		if (waiting == NULL)
			dp_log_out_of_memory("a command");
		*waiting = *command;
		c->waiting[c->n_waiting++] = waiting;
	} else if (err != 0) {
		refuse(c, command,
			err == -ENOTCONN ? "too many commands wait for their sampler"
					 : "the node's broker does not take it");
	}
}

/* @return NULL, or why it cannot be passed on */
static const char *read_command(
	struct commands *c, const struct dp_bus_message *message, struct command *command)
{
	const char *response = message->response_topic;
	if (message->correlation_len > 0 && message->correlation_len <= CORRELATION_MAX) {
		memcpy(command->correlation, message->correlation,
			message->correlation_len);
		command->correlation_len = message->correlation_len;
	}
	if (response != NULL && may_answer_to(c, response))
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

bool commands_message(struct commands *c, const struct dp_bus_message *message)
{
	struct command command = {.len = 0};
	if (!output_of(c, message->topic, command.output))
		return false;
	c->received++;
	const char *why = read_command(c, message, &command);
	if (message->expiry_s > 0)
		command.until_ns = arrival_ns(c) + (int64_t)message->expiry_s * 1000000000;
	command.wait_ns = boot_ns(c) + WAIT_MAX_NS;
	if (why != NULL)
		refuse(c, &command, why);
	else
		forward(c, &command);
	return true;
}

void commands_answered(struct commands *c, const struct dp_bus_message *message)
{
	const char *text = message->topic + strlen(ANSWER_PREFIX);
	char *end;
	uint64_t id = strtoull(text, &end, 16);
	if (end != text + ID_DIGITS || *end != '/' || message->retain)
		return;
	if (id >> 32 != c->last_id >> 32) {
		/* An answer to a command of an earlier publisher, which died. */
		if (may_answer_to(c, end + 1))
			answer(c, end + 1, message->correlation, message->correlation_len,
				message->payload, message->len);
		return;
	}
	for (size_t i = 0; i < c->n_sent; i++) {
		const struct command *sent = c->sent[i];
		if (sent->id != id)
			continue;
		answer(c, sent->response, sent->correlation, sent->correlation_len,
			message->payload, message->len);
		drop_sent(c, i);
		return;
	}
}

/* That sampler, or all with NULL, will not answer any more: its callers are told. */
static void lose(struct commands *c, const char *sampler)
{
	size_t i = 0;
	while (i < c->n_sent) {
		if (sampler != NULL && strcmp(c->sent[i]->sampler, sampler) != 0) {
			i++;
			continue;
		}
		give_up(c, c->sent[i], "the sampler was gone before it answered" UNKNOWN);
		drop_sent(c, i);
	}
}

static void expire_sent(struct commands *c)
{
	while (c->n_sent > 0 && boot_ns(c) > c->sent[0]->wait_ns) {
		give_up(c, c->sent[0], "the sampler does not answer" UNKNOWN);
		drop_sent(c, 0);
	}
}

void commands_flush(struct commands *c)
{
	size_t n = c->n_waiting;
	struct command *waiting[COMMANDS_WAITING];
	expire_sent(c);
	if (n == 0)
		return;
	memcpy(waiting, c->waiting, sizeof(waiting));
	c->n_waiting = 0;
	for (size_t i = 0; i < n; i++) {
		if (boot_ns(c) > waiting[i]->wait_ns)
			refuse(c, waiting[i], "no sampler has that output now");
		else
			forward(c, waiting[i]);
		free(waiting[i]);
	}
}

void commands_connected(struct commands *c)
{
	char filter[DP_TOPIC_MAX];
	snprintf(filter, sizeof(filter), "cmd/%s/+/set", c->config->node_name);
	dp_bus_subscribe(c->centre, filter);
}

bool commands_any(const struct commands *c)
{
	return c->n_waiting > 0 || c->n_sent > 0;
}

/* ---- who listens ---- */

void commands_listening(struct commands *c, const struct dp_bus_message *message)
{
	if (listeners_note(&c->listeners, message))
		commands_flush(c);
}

bool commands_sampler(struct commands *c, const struct dp_bus_message *message)
{
	size_t lost;
	const char *gone = listeners_note_sampler(&c->listeners, message, &lost);
	if (gone == NULL)
		return false;
	lose(c, gone);
	/* A dead sampler's will may come after its successor has said `listening`. */
	return lost > 0;
}

/* Who listens must say so again. */
void commands_local_disconnected(struct commands *c)
{
	listeners_forget(&c->listeners);
	lose(c, NULL);
}

/* ---- start and stop ---- */

void commands_open(struct commands *c, struct dp_bus *local, struct dp_bus *centre)
{
	c->local = local;
	c->centre = centre;
}

void commands_stop(struct commands *c)
{
	c->stopping = true;
}

void commands_finish(struct commands *c)
{
	for (size_t i = 0; i < c->n_waiting; i++) {
		refuse(c, c->waiting[i], STOPS);
		free(c->waiting[i]);
	}
	c->n_waiting = 0;
	while (c->n_sent > 0) {
		give_up(c, c->sent[0], STOPS UNKNOWN);
		drop_sent(c, 0);
	}
}
