/* The model's two brokers, in place of common/bus.o, and the centre behind one of them. */
#include <stdlib.h>
#include <string.h>

#include "ack.h"
#include "bus.h"
#include "model_parts.h"

/* ---- in place of bus.o ---- */

struct dp_bus {
	struct dp_bus_options options;
	bool up, local;
};

static struct dp_bus buses[2];

/* Answers on their way to the publisher: they come from the loop. */
static struct {
	char topic[DP_TOPIC_MAX], correlation[96];
	size_t correlation_len;
	char *json;
	size_t len;
	int64_t due_ms;
} answers[2 * SENDER_WINDOW];
static size_t n_answers;

static struct {
	char topic[DP_TOPIC_MAX];
	int reason;
} refusals[2 * SENDER_WINDOW];
static size_t n_refusals;

static struct model_sampler *sampler_of(const struct dp_stream_id *id)
{
	for (unsigned i = 0; i < MODEL_STREAMS; i++) {
		if (model.samplers[i].next != 0 &&
			memcmp(&model.samplers[i].id, id, sizeof(*id)) == 0)
			return &model.samplers[i];
	}
	return NULL;
}

/* What a reading of that number says, so that no other can be taken for it. */
double model_value_of(const struct model_sampler *sampler, uint64_t seq)
{
	return (double)((uint64_t)(sampler - model.samplers + 1) * 1000000 + seq);
}

static void store(struct model_sampler *sampler, uint64_t seq, struct dp_senml *pack)
{
	struct dp_reading reading;
	const char *why;
	if (dp_senml_next(pack, &reading, &why) != 1 || seq >= MODEL_READINGS)
		return;
	/* Its number was closed as lost: nothing can be stored there any more. */
	if (!sampler->lost[seq])
		sampler->stored[seq] = true;
	if (reading.values[0].value != model_value_of(sampler, seq))
		sampler->strange[seq] = true;
}

/* The centre stores all that it has gathered, as ingest does. */
static void answer_until(int64_t due_ms)
{
	for (size_t i = 0; i < n_answers; i++) {
		if (answers[i].due_ms > due_ms)
			answers[i].due_ms = due_ms;
	}
}

static void answer(
	const struct dp_bus_message *message, char *json, size_t len, int64_t due_ms)
{
	model_must(n_answers < sizeof(answers) / sizeof(answers[0]), "too many answers");
	snprintf(answers[n_answers].topic, DP_TOPIC_MAX, "%s", message->response_topic);
	memcpy(answers[n_answers].correlation, message->correlation,
		message->correlation_len);
	answers[n_answers].correlation_len = message->correlation_len;
	answers[n_answers].json = json;
	answers[n_answers].due_ms = due_ms;
	answers[n_answers++].len = len;
	answer_until(due_ms);
}

/* As ingest does it: store, close below `low`, answer. */
static void take_batch(const struct dp_bus_message *message)
{
	struct dp_identity identity;
	const char *why = "";
	char *json = NULL;
	size_t len = 0;
	if (dp_identity_decode(
		    message->properties, message->n_properties, &identity, &why) != 0) {
		model_strange("a batch without an identity: %s", why);
		return;
	}
	struct model_sampler *sampler = sampler_of(&identity.stream);
	const struct dp_ack_range range = {
		DP_ACK_STORED, identity.stream, identity.first, identity.count, NULL};
	struct dp_senml *pack = NULL;
	if (identity.count > 0 && dp_senml_open(&pack, message->payload, message->len,
					  DP_SENML_NATIVE, 0, &why) != 0)
		model_strange("a batch that cannot be read: %s", why);
	if (pack != NULL && dp_senml_count(pack) != identity.count)
		model_strange("a batch of another count than it says");
	for (uint64_t i = 0; sampler != NULL && pack != NULL && i < identity.count; i++)
		store(sampler, identity.first + i, pack);
	dp_senml_close(pack);
	for (uint64_t seq = 1;
		sampler != NULL && seq < identity.low && seq < MODEL_READINGS; seq++)
		sampler->lost[seq] = !sampler->stored[seq];
	if (!model.centre_answers)
		return;
	int64_t due_ms = model.now_ms + (model.centre_gathers ? identity.wait_ms : 0);
	if (identity.count == 0)
		answer(message, strdup("{}"), 2, due_ms);
	else if (dp_ack_encode(&range, 1, &json, &len) == 0)
		answer(message, json, len, due_ms);
}

static void take_up(const struct dp_bus_message *message)
{
	size_t len = strlen(message->topic);
	model.states += strncmp(message->topic, "state/", 6) == 0;
	model.statuses += strncmp(message->topic, "status/", 7) == 0;
	model.statistics += strncmp(message->topic, "stats/", 6) == 0;
	if (len < 6 || strcmp(message->topic + len - 6, "/batch") != 0)
		return;
	model.batches++;
	model.batch_ms = model.now_ms;
	if (message->len > model.largest)
		model.largest = message->len;
	int reason = model.refuse_with;
	if (model.refuse_above != 0 && message->len > model.refuse_above)
		reason = 0x95;
	if (reason == 0) {
		take_batch(message);
		return;
	}
	model.refusals++;
	model_must(
		n_refusals < sizeof(refusals) / sizeof(refusals[0]), "too many refusals");
	snprintf(refusals[n_refusals].topic, DP_TOPIC_MAX, "%s", message->topic);
	refusals[n_refusals++].reason = reason;
}

static void on_accepted(void *data, const struct dp_ack_range *range)
{
	struct model_sampler *sampler = sampler_of(&range->stream);
	(void)data;
	for (uint64_t i = 0; sampler != NULL && i < range->count; i++) {
		if (range->first + i < MODEL_READINGS)
			sampler->accepted[range->first + i] = true;
	}
}

static void on_accept_error(void *data, const char *reason)
{
	(void)data, (void)reason;
}

int dp_bus_open(struct dp_bus **out, uv_loop_t *loop, const struct dp_bus_options *options)
{
	(void)loop;
	bool local = strcmp(options->url, model.config.mqtt_url) == 0;
	struct dp_bus *bus = &buses[local];
	*bus = (struct dp_bus){.options = *options, .local = local};
	*out = bus;
	return 0;
}

int dp_bus_publish(struct dp_bus *bus, const struct dp_bus_message *message)
{
	if (!bus->up)
		return -ENOTCONN;
	if (bus->local && strncmp(message->topic, "local/ack/", 10) == 0)
		dp_ack_decode(
			message->payload, message->len, on_accepted, on_accept_error, NULL);
	else if (!bus->local)
		take_up(message);
	return 0;
}

void dp_bus_subscribe(struct dp_bus *bus, const char *filter)
{
	(void)bus, (void)filter;
}

void dp_bus_unsubscribe(struct dp_bus *bus, const char *filter)
{
	(void)bus, (void)filter;
}

bool dp_bus_connected(const struct dp_bus *bus)
{
	return bus->up;
}

const char *dp_bus_health(const struct dp_bus *bus)
{
	return bus->up ? NULL : "the broker is away";
}

bool dp_bus_congested(struct dp_bus *bus)
{
	(void)bus;
	return false;
}

void dp_bus_cork(struct dp_bus *bus)
{
	(void)bus;
}

void dp_bus_uncork(struct dp_bus *bus)
{
	(void)bus;
}

void dp_bus_pause(struct dp_bus *bus, bool paused)
{
	(void)bus, (void)paused;
}

void dp_bus_close(struct dp_bus *bus, void (*closed)(void *data))
{
	(void)closed;
	bus->up = false;
	bus->options.on_message = NULL;
}

/* ---- what comes from them ---- */

void model_bus_set_up(bool local, bool up)
{
	struct dp_bus *bus = &buses[local];
	if (bus->options.on_message == NULL || bus->up == up)
		return;
	bus->up = up;
	if (up)
		bus->options.on_connect(bus->options.data);
	else
		bus->options.on_disconnect(bus->options.data);
}

void model_deliver_answers(void)
{
	size_t kept = 0, n = n_answers;
	for (size_t i = 0; i < n; i++) {
		if (answers[i].due_ms > model.now_ms) {
			answers[kept++] = answers[i];
			continue;
		}
		const struct dp_bus_message message = {.topic = answers[i].topic,
			.payload = answers[i].json,
			.len = answers[i].len,
			.correlation = answers[i].correlation,
			.correlation_len = answers[i].correlation_len};
		if (buses[0].up)
			buses[0].options.on_message(buses[0].options.data, &message);
		free(answers[i].json);
	}
	n_answers = kept;
	for (size_t i = 0; i < n_refusals && buses[0].up; i++)
		buses[0].options.on_refused(
			buses[0].options.data, refusals[i].topic, refusals[i].reason);
	n_refusals = 0;
}

bool model_answers_wait(void)
{
	for (size_t i = 0; i < n_answers; i++) {
		if (answers[i].due_ms <= model.now_ms)
			return true;
	}
	return n_refusals > 0;
}

bool model_bus_is_up(bool local)
{
	return buses[local].up;
}

void model_say_at_node(const struct dp_bus_message *message)
{
	buses[1].options.on_message(buses[1].options.data, message);
}

void model_say(const char *topic, const char *payload)
{
	const struct dp_bus_message message = {
		.topic = topic, .payload = payload, .len = strlen(payload)};
	model_say_at_node(&message);
}

void model_forget_buses(void)
{
	for (size_t i = 0; i < n_answers; i++)
		free(answers[i].json);
	n_answers = n_refusals = 0;
	memset(buses, 0, sizeof(buses));
}
