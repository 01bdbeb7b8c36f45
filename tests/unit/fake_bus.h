/*
 * In place of common/bus.o: a bus that is up when the test says so and remembers what was
 * published. One file of a test includes it.
 */
#ifndef TEST_FAKE_BUS_H
#define TEST_FAKE_BUS_H

#include "bus.h"
#include "support.h"
#include "topic.h"

#define FAKE_SENT 64

struct fake_sent {
	char topic[DP_TOPIC_MAX], correlation[96], response[DP_TOPIC_MAX];
	size_t correlation_len;
	char *payload; /* with a NUL behind it */
	size_t len;
	bool typed; /* it has a content type */
	int qos;
	struct dp_identity identity;
};

struct dp_bus {
	struct dp_bus_options options;
	bool up, paused;
	unsigned opened, released; /* how often; acknowledgements that were held back */
	int refuse_with;	   /* what dp_bus_publish() returns instead of 0 */
	struct fake_sent sent[FAKE_SENT];
	size_t n;
	char filters[512]; /* each with a blank behind it */
};

static struct dp_bus fake_bus;

static void fake_bus_clear(void)
{
	for (size_t i = 0; i < fake_bus.n; i++)
		free(fake_bus.sent[i].payload);
	fake_bus.n = 0;
}

int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options)
{
	(void)loop;
	fake_bus.options = *options;
	fake_bus.opened++;
	*out = &fake_bus;
	return 0;
}

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	const char *why;
	if (!bus->up)
		return -ENOTCONN;
	if (bus->refuse_with != 0)
		return bus->refuse_with;
	assert_true(bus->n < FAKE_SENT);
	struct fake_sent *sent = &bus->sent[bus->n++];
	*sent = (struct fake_sent){.correlation_len = message->correlation_len,
		.len = message->len,
		.qos = message->qos,
		.typed = message->content_type != NULL};
	snprintf(sent->topic, sizeof(sent->topic), "%s", message->topic);
	if (message->response_topic != NULL)
		snprintf(sent->response, sizeof(sent->response), "%s",
			message->response_topic);
	assert_true(message->correlation_len <= sizeof(sent->correlation));
	if (message->correlation_len > 0)
		memcpy(sent->correlation, message->correlation, message->correlation_len);
	sent->payload = malloc(message->len + 1);
	if (sent->payload == NULL)
		abort();
	if (message->len > 0)
		memcpy(sent->payload, message->payload, message->len);
	sent->payload[message->len] = '\0';
	dp_identity_decode(
		message->properties, message->n_properties, &sent->identity, &why);
	return 0;
}

void dp_bus_subscribe(struct dp_bus *bus, const char *filter)
{
	size_t len = strlen(bus->filters);
	snprintf(bus->filters + len, sizeof(bus->filters) - len, "%s ", filter);
}

bool dp_bus_connected(const struct dp_bus *bus)
{
	return bus->up;
}

const char *dp_bus_health(const struct dp_bus *bus)
{
	return bus->up ? NULL : "the broker is away";
}

void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data))
{
	(void)closed;
	bus->up = false;
}

void dp_bus_release(struct dp_bus *bus)
{
	bus->released++;
}

void dp_bus_pause(struct dp_bus *bus, bool pause)
{
	bus->paused = pause;
}

static inline void fake_bus_set_up(bool up)
{
	fake_bus.up = up;
	if (up)
		fake_bus.options.on_connect(fake_bus.options.data);
	else
		fake_bus.options.on_disconnect(fake_bus.options.data);
}

#endif
