#include "uplink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ack.h"
#include "log.h"
#include "parking.h"
#include "topic.h"
#include "ungranted.h"

#define SESSION_EXPIRY_S 60

static int64_t now_ms(const struct uplink *u)
{
	return (int64_t)uv_now(u->options.loop);
}

/* ---- answers in ---- */

/* It counts as silent until all that was in flight then is answered or sent again. */
static void note_answer(struct uplink *u)
{
	if (!u->silent || now_ms(u) < u->silent_until_ms)
		return;
	dp_log(DP_LOG_INFO, "the centre answers again", NULL);
	u->silent = false;
}

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct uplink *u = data;
	struct stream *stream = streams_find(u->options.streams, &range->stream);
	/* Only what was sent can have been answered. */
	if (stream == NULL || range->first + range->count > stream->uplink.sent_end) {
		u->strange_answers++;
		return;
	}
	refusal_over(&u->sender.refusal);
	ungranted_end(u->options.streams, stream);
	if (range->kind == DP_ACK_LATER) {
		bool encoded =
			sender_any_encoded(&u->sender, stream, range->first, range->count);
		u->later++;
		sender_answered(&u->sender, stream, range->first, range->count);
		sender_unsend(&u->sender, stream, range->first, range->count);
		if (encoded)
			sender_send_plain(&u->sender, now_ms(u));
		else
			parking_begin(stream, range->reason, now_ms(u),
				&u->sender.delivery.random);
		return;
	}
	if (range->kind == DP_ACK_REJECTED) {
		u->rejected += range->count;
		dp_log(DP_LOG_WARN,
			"the centre could not decode readings; they are dead letters there",
			"node=%s first=%" PRIu64 " count=%" PRIu64 " reason=\"%s\"",
			stream->node, range->first, range->count, range->reason);
	} else {
		u->stored += range->count;
		parking_end(stream);
		note_answer(u);
	}
	sender_answered(&u->sender, stream, range->first, range->count);
	streams_must(stream_answer(stream, range->first, range->count));
}

/* The message being answered, for an answer that is about it as a whole. */
struct answer {
	struct uplink *u;
	const struct dp_bus_message *message;
};

static void on_answer_range(void *data, const struct dp_ack_range *range)
{
	on_range(((struct answer *)data)->u, range);
}

static void on_answer_error(void *data, const char *reason)
{
	struct answer *answer = data;
	struct uplink *u = answer->u;
	const struct dp_bus_message *message = answer->message;
	const struct flight *found =
		sender_find(&u->sender, message->correlation, message->correlation_len);
	struct flight flight;
	if (found == NULL || !sender_message_answered(&u->sender, found->number, &flight)) {
		u->strange_answers++;
		return;
	}
	dp_log(DP_LOG_ERROR, "the centre could not read a batch; it is a dead letter there",
		"first=%" PRIu64 " count=%" PRIu32 " reason=\"%s\"", flight.first,
		flight.count, reason);
	u->rejected += flight.count;
	ungranted_end(u->options.streams, sender_stream_of(&flight));
	streams_must(stream_answer(sender_stream_of(&flight), flight.first, flight.count));
}

/* An encoded message is answered by nothing when all of it is stored. */
static void on_empty_answer(struct uplink *u, const struct dp_bus_message *message)
{
	const struct flight *flight =
		sender_find(&u->sender, message->correlation, message->correlation_len);
	if (flight == NULL || !flight->size.encoded) {
		u->strange_answers++;
		return;
	}
	const struct dp_ack_range range = {.kind = DP_ACK_STORED,
		.stream = sender_stream_of(flight)->id,
		.first = flight->first,
		.count = flight->count};
	on_range(u, &range);
}

static void on_answer(struct uplink *u, const struct dp_bus_message *message)
{
	bool strange;
	if (sender_last_word_answered(
		    &u->sender, message->correlation, message->correlation_len, &strange)) {
		u->strange_answers += strange;
		return;
	}
	if (message->len == 0) {
		on_empty_answer(u, message);
		return;
	}
	/* Before the ranges: one of them may say that it does not. */
	if (encoding_offers(&u->sender.encoding, now_ms(u)) &&
		dp_ack_takes(message->payload, message->len, DP_ENCODING_DEFLATE))
		encoding_taken(&u->sender.encoding, now_ms(u));
	struct answer answer = {u, message};
	int err = dp_ack_decode(
		message->payload, message->len, on_answer_range, on_answer_error, &answer);
	if (err == -ENOMEM)
		dp_log_out_of_memory("an answer");
	if (err != 0)
		u->strange_answers++;
}

/* ---- the connection ---- */

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct uplink *u = data;
	if (strncmp(message->topic, "ack/", 4) == 0)
		on_answer(u, message);
	else
		u->options.message(u->options.data, message);
}

static int say(struct uplink *u, const char *status)
{
	const struct dp_bus_message message = {.topic = u->status_topic,
		.payload = status,
		.len = strlen(status),
		.qos = 1,
		.retain = true};
	return dp_bus_publish(u->bus, &message);
}

static void on_connect(void *data)
{
	struct uplink *u = data;
	dp_bus_subscribe(u->bus, u->ack_filter);
	int err = say(u, "online");
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot say that the node is online", "error=\"%s\"",
			strerror(-err));
	u->options.connected(u->options.data);
}

static void on_disconnect(void *data)
{
	struct uplink *u = data;
	sender_disconnected(&u->sender);
}

static void on_refused(void *data, const char *topic, int reason)
{
	struct uplink *u = data;
	struct sender *sender = &u->sender;
	const struct publisher_config *config = u->options.config;
	char node[DP_NAME_MAX + 1];
	if (dp_topic_node(topic, config->topic_prefix, "/batch", node) != 0)
		return; /* no batch: the bus has said it */
	if (reason == REFUSAL_NOT_AUTHORIZED && strcmp(node, config->node_name) != 0) {
		sender_refuse_name(sender, node, now_ms(u));
		return;
	}
	const struct flight *flight =
		delivery_largest(&sender->delivery, sender->refusal.limits);
	struct refusal_batch largest = {.count = 0};
	if (flight != NULL)
		largest = (struct refusal_batch){
			flight->size.deflate, flight->size.text, flight->count};
	refusal_by_puback(
		&sender->refusal, reason, &largest, now_ms(u), &sender->delivery.random);
}

void uplink_init(struct uplink *u, const struct uplink_options *options)
{
	*u = (struct uplink){.options = *options};
	sender_init(&u->sender, options->config, options->streams);
}

void uplink_open(struct uplink *u, const char *instance)
{
	const struct publisher_config *config = u->options.config;
	snprintf(u->client, sizeof(u->client), "dewpoint-%s", config->node_name);
	snprintf(u->status_topic, sizeof(u->status_topic), "status/%s", config->node_name);
	/* Of any node: the outbox may hold readings from before the node was renamed. */
	snprintf(u->ack_filter, sizeof(u->ack_filter), "ack/+/%s", instance);
	const struct dp_bus_options options = {
		.url = config->upstream_url,
		.tls = &config->service.tls,
		.client_id = u->client,
		.clean_start = false,
		.session_expiry_s = SESSION_EXPIRY_S,
		.keepalive_s = config->keepalive_s,
		.will_topic = u->status_topic,
		.will_payload = "offline",
		.data = u,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
		.on_refused = on_refused,
	};
	if (dp_bus_open(&u->bus, u->options.loop, &options) != 0)
		dp_log_out_of_memory("the bus");
	u->sender.bus = u->bus;
	u->sender.instance = instance;
}

void uplink_close(struct uplink *u)
{
	int err = say(u, "offline");
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot say that the node goes offline", "error=\"%s\"",
			strerror(-err));
	dp_bus_close(u->bus, NULL);
}

void uplink_finish(struct uplink *u)
{
	sender_finish(&u->sender);
}

bool uplink_connected(const struct uplink *u)
{
	return u->bus != NULL && dp_bus_connected(u->bus);
}

/* ---- batches ---- */

void uplink_expire(struct uplink *u)
{
	unsigned n = sender_expire(&u->sender, now_ms(u));
	if (n == 0)
		return;
	if (!u->silent)
		dp_log(DP_LOG_WARN,
			"the centre does not answer, sending again until it does",
			"batches=%u", n);
	u->silent = true;
	u->silent_until_ms =
		now_ms(u) + u->options.config->answer_ms + u->sender.delivery.timeout_ms;
}

bool uplink_send(struct uplink *u, bool no_disk)
{
	return uplink_connected(u) && sender_send(&u->sender, no_disk, now_ms(u));
}

struct page_want uplink_wants(struct uplink *u)
{
	return uplink_connected(u) ? sender_wants(&u->sender, now_ms(u))
				   : (struct page_want){.stream = NULL};
}

void uplink_page(struct uplink *u, struct stream *stream, const struct outbox_page *page)
{
	sender_page(&u->sender, stream, page, now_ms(u));
}

unsigned uplink_in_flight(const struct uplink *u)
{
	const struct delivery *d = &u->sender.delivery;
	return d->in_flight[DELIVERY_LIVE] + d->in_flight[DELIVERY_BACKLOG];
}

bool uplink_has_in_flight(const struct uplink *u, const struct stream *stream, uint64_t seq)
{
	return sender_in_flight(&u->sender, stream, seq);
}

bool uplink_uses(const struct uplink *u, const struct stream *stream)
{
	return sender_uses(&u->sender, stream);
}

int64_t uplink_deadline(const struct uplink *u)
{
	return u->bus == NULL ? INT64_MAX : sender_deadline(&u->sender, now_ms(u));
}

const char *uplink_health(struct uplink *u)
{
	const char *wrong = dp_bus_health(u->bus);
	if (wrong == NULL)
		wrong = refusal_text(&u->sender.refusal);
	if (wrong != NULL)
		return wrong;
	ungranted_say(u->options.streams, u->options.config->node_name, u->former,
		sizeof(u->former));
	return u->former[0] != '\0' ? u->former : NULL;
}
