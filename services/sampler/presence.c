#include "presence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "topic.h"

void presence_init(struct presence *presence, const char *instance)
{
	*presence = (struct presence){.instance = instance};
	snprintf(presence->will_topic, sizeof(presence->will_topic), "local/sampler/%s",
		instance);
}

static int publish(struct presence *presence, const char *topic, const char *text,
	const char *content_type)
{
	const struct dp_property owner = {"sampler", presence->instance};
	const struct dp_bus_message message = {.topic = topic,
		.payload = text,
		.len = strlen(text),
		.qos = 1,
		.retain = true,
		.content_type = content_type,
		.properties = &owner,
		.n_properties = 1};
	int err =
		presence->bus == NULL ? -ENOTCONN : dp_bus_publish(presence->bus, &message);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot publish", "topic=%s error=\"%s\"", topic,
			strerror(-err));
	return err;
}

int presence_publish(struct presence *presence, const char *what, const char *name,
	const char *text, const char *content_type)
{
	char topic[DP_TOPIC_MAX];
	snprintf(topic, sizeof(topic), "local/%s/%s", what, name);
	return publish(presence, topic, text, content_type);
}

void presence_begin(struct presence *presence)
{
	publish(presence, presence->will_topic, "online", NULL);
}

void presence_listen(struct presence *presence)
{
	dp_bus_subscribe(presence->bus, presence->will_topic);
}

bool presence_is_denied(
	const struct presence *presence, const struct dp_bus_message *message)
{
	return strcmp(message->topic, presence->will_topic) == 0 &&
	       (message->len != strlen("online") ||
		       memcmp(message->payload, "online", message->len) != 0);
}

void presence_tell(struct presence *presence, const char *name, bool online)
{
	presence_publish(presence, "status", name, online ? "online" : "offline", NULL);
}

void presence_end(struct presence *presence)
{
	publish(presence, presence->will_topic, "offline", NULL);
}
