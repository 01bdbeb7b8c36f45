/*
 * Which sampler listens for commands to which output. Only the sampler that has it says so,
 * on local/listening/<output>, each time it reads `online` on local/publisher: after its
 * subscriptions are made, and after ours. Nothing of it is retained or survives either
 * connection, so that nobody is taken for a listener who was one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "relay.h"
#include "topic.h"

static const char online[] = "online";

/* Of the name behind a topic's last slash; NULL when it is none. */
static const char *name_of(const char *topic)
{
	const char *name = strrchr(topic, '/') + 1;
	return dp_name_valid(name, strlen(name)) ? name : NULL;
}

static struct listener *find(struct relay *r, const char *output)
{
	for (size_t i = 0; i < r->n_listeners; i++) {
		if (strcmp(r->listeners[i].output, output) == 0)
			return &r->listeners[i];
	}
	return NULL;
}

void listeners_note(struct relay *r, const struct dp_bus_message *message)
{
	const char *output = name_of(message->topic), *sampler = NULL;
	for (size_t i = 0; i < message->n_properties; i++) {
		if (strcmp(message->properties[i].name, "sampler") == 0)
			sampler = message->properties[i].value;
	}
	/* What is retained may be of somebody who is gone. */
	if (message->retain || output == NULL || sampler == NULL ||
		!dp_name_valid(sampler, strlen(sampler)))
		return;
	struct listener *listener = find(r, output);
	if (listener == NULL && r->n_listeners == RELAY_SENSORS)
		return;
	if (listener == NULL)
		listener = &r->listeners[r->n_listeners++];
	snprintf(listener->output, sizeof(listener->output), "%s", output);
	snprintf(listener->sampler, sizeof(listener->sampler), "%s", sampler);
	commands_flush(r);
}

void listeners_say_online(struct relay *r)
{
	const struct dp_bus_message here = {.topic = LOCAL_PRESENCE,
		.payload = online,
		.len = strlen(online),
		.qos = 1,
		.retain = true};
	int err = dp_bus_publish(r->local, &here);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_ERROR, "cannot tell the samplers that the publisher is here",
			"error=\"%s\"", strerror(-err));
}

void listeners_note_sampler(struct relay *r, const struct dp_bus_message *message)
{
	const char *sampler = name_of(message->topic);
	size_t kept = 0, n = r->n_listeners;
	if (message->retain || sampler == NULL ||
		(message->len == strlen(online) &&
			memcmp(message->payload, online, message->len) == 0))
		return;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(r->listeners[i].sampler, sampler) != 0)
			r->listeners[kept++] = r->listeners[i];
	}
	r->n_listeners = kept;
	commands_lost(r, sampler);
	/* The will of one that died may come after its successor's first words. */
	if (kept != n && !r->stopping)
		listeners_say_online(r);
}

void listeners_forget(struct relay *r)
{
	r->n_listeners = 0;
	commands_lost(r, NULL);
}

const char *listeners_of(struct relay *r, const char *output)
{
	const struct listener *listener = find(r, output);
	return listener != NULL ? listener->sampler : NULL;
}
