#include "incoming.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "reading.h"

static const char *copy_text(char **at, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = memcpy(*at, text, len);
	*at += len;
	return copy;
}

static void read_identity(
	struct incoming *in, const struct dp_bus_message *message, bool known)
{
	in->identity_error = dp_identity_decode(message->properties, message->n_properties,
		&in->identity, &in->identity_why);
	if (in->identity_error == 0 && in->identity.clock == DP_CLOCK_NONE) {
		in->identity_error = -EBADMSG;
		in->identity_why = "clock none is for a node's own broker only";
	}
	if (!known) {
		in->identity_error = -EBADMSG;
		in->identity_why = "the topic has no valid node name";
	}
}

/* An encoded payload becomes what it was before; one that cannot stays as it came.
 * @return 0 or -ENOMEM */
static int decode_payload(struct incoming *in, struct condenser *condenser)
{
	if (in->identity.encoding == DP_ENCODING_NONE)
		return 0;
	struct dp_inflater *inflater = &condenser->inflater;
	int err = dp_inflate(
		inflater, in->payload, in->len, condenser->most, &in->unreadable);
	if (err == 0) {
		in->payload = inflater->at;
		in->len = inflater->len;
	}
	return err == -ENOMEM ? err : 0;
}

/* The payload as it is kept. @return 0 or -ENOMEM */
static int keep_payload(struct incoming *in, const struct dp_bus_message *message,
	struct condenser *condenser)
{
	in->payload = message->payload;
	in->len = message->len;
	if (in->plain || in->identity_error != 0 || in->identity.count == 0)
		return 0;
	int err = decode_payload(in, condenser);
	if (err != 0 || in->unreadable != NULL)
		return err;
	in->too_long = in->len > condenser->most;
	err = condense(condenser, in->payload, in->len, in->identity.count);
	if (err != 0)
		return err == -ENOMEM ? err : 0;
	in->condensed = true;
	in->payload = condenser->at;
	in->len = condenser->len;
	return 0;
}

/* One allocation: the struct, its texts, the payload. */
static struct incoming *make_copy(const struct incoming *from,
	const struct dp_bus_message *message, const char *response_topic)
{
	size_t texts = strlen(message->topic) + 1 +
		       (response_topic != NULL ? strlen(response_topic) + 1 : 0);
	struct incoming *in = malloc(sizeof(*in) + texts + from->len + 1);
	if (in == NULL)
		return NULL;
	*in = *from;
	char *at = in->text;
	in->topic = copy_text(&at, message->topic);
	if (response_topic != NULL) {
		in->response_topic = copy_text(&at, response_topic);
		in->correlation_len = message->correlation_len;
		if (in->correlation_len > 0)
			memcpy(in->correlation, message->correlation, in->correlation_len);
	}
	memcpy(at, from->payload, from->len);
	at[from->len] = '\0';
	in->payload = at;
	return in;
}

struct incoming *incoming_copy(const struct dp_bus_message *message, bool plain,
	const char *topic_prefix, int64_t received_us, enum dp_clock_mark clock,
	struct condenser *condenser)
{
	struct incoming in = {.plain = plain,
		.received_us = received_us,
		.clock = clock == DP_CLOCK_NONE ? DP_CLOCK_GUESSED : clock};
	bool known = dp_topic_node(message->topic, topic_prefix, plain ? "" : "/batch",
			     in.node) == 0;
	const char *answer = message->response_topic;
	if (plain || !known || answer == NULL || !dp_topic_is_ack_of(answer, in.node) ||
		message->correlation_len > CORRELATION_MAX)
		answer = NULL;
	if (!plain)
		read_identity(&in, message, known);
	in.part_first = in.identity.first;
	in.part_count = in.identity.count;
	return keep_payload(&in, message, condenser) == 0 ? make_copy(&in, message, answer)
							  : NULL;
}

size_t incoming_size(const struct incoming *in)
{
	size_t answer = in->response_topic != NULL ? strlen(in->response_topic) : 0;
	return sizeof(*in) + in->len + strlen(in->topic) + answer;
}

void incoming_free(struct incoming *list)
{
	while (list != NULL) {
		struct incoming *next = list->next;
		free(list->refused);
		free(list);
		list = next;
	}
}

bool incoming_has_plain(const struct incoming *list)
{
	while (list != NULL && !list->plain)
		list = list->next;
	return list != NULL;
}

bool incoming_refuse(struct incoming *in, const char *why)
{
	static const char prefix[] = REFUSED ": ";
	if (in->refusals == REFUSALS_MAX)
		return false;
	in->refusals++;
	size_t len = strlen(why);
	while (!dp_utf8_valid(why, len))
		len--;
	char *text = in->refused == NULL ? malloc(sizeof(prefix) + len) : NULL;
	if (text == NULL)
		return true; /* keep the first reason; or none, out of memory */
	memcpy(text, prefix, sizeof(prefix) - 1);
	memcpy(text + sizeof(prefix) - 1, why, len);
	text[sizeof(prefix) - 1 + len] = '\0';
	in->refused = text;
	return true;
}

/* Whether its readings are stored one by one. If not, each part would be a dead letter with
 * all of the payload. */
static bool has_readings(const struct incoming *in)
{
	const char *why;
	struct dp_senml *pack;
	if (in->condensed)
		return true;
	if (in->plain || in->identity_error != 0 || in->unreadable != NULL || in->too_long)
		return false;
	int err = dp_senml_open(
		&pack, in->payload, in->len, DP_SENML_NATIVE, in->received_us, &why);
	if (err == -ENOMEM)
		dp_log_out_of_memory("a message");
	if (err != 0)
		return false;
	bool counted = dp_senml_count(pack) == in->identity.count;
	dp_senml_close(pack);
	return counted;
}

struct incoming *incoming_split(struct incoming *in)
{
	if (in->part_count < 2 || !has_readings(in))
		return NULL;
	size_t size = (size_t)(in->payload - (const char *)in) + in->len + 1;
	struct incoming *rest = malloc(size);
	if (rest == NULL)
		dp_log_out_of_memory("a message");
	memcpy(rest, in, size);
	rest->next = NULL;
	rest->refused = NULL;
	rest->topic = rest->text + (in->topic - in->text);
	rest->payload = rest->text + (in->payload - in->text);
	if (in->response_topic != NULL)
		rest->response_topic = rest->text + (in->response_topic - in->text);
	in->part_count /= 2;
	rest->part_first += in->part_count;
	rest->part_count -= in->part_count;
	return rest;
}

void queue_init(struct queue *queue)
{
	*queue = (struct queue){.end = &queue->first};
}

void queue_add(struct queue *queue, struct incoming *in)
{
	*queue->end = in;
	queue->end = &in->next;
	queue->n++;
	queue->bytes += incoming_size(in);
}

void queue_move(struct queue *from, struct queue *to, size_t most_bytes)
{
	queue_init(to);
	while (from->first != NULL && to->bytes < most_bytes) {
		struct incoming *in = from->first;
		from->first = in->next;
		from->n--;
		from->bytes -= incoming_size(in);
		in->next = NULL;
		queue_add(to, in);
	}
	if (from->first == NULL)
		from->end = &from->first;
}

void queue_cut(struct queue *queue, size_t n, struct queue *rest)
{
	struct queue all;
	queue_init(&all);
	queue_prepend(&all, queue);
	queue_init(queue);
	while (all.first != NULL) {
		struct incoming *in = all.first;
		all.first = in->next;
		in->next = NULL;
		queue_add(queue->n < n ? queue : rest, in);
	}
}

void queue_prepend(struct queue *queue, struct queue *before)
{
	if (before->first == NULL)
		return;
	*before->end = queue->first;
	if (queue->first == NULL)
		queue->end = before->end;
	queue->first = before->first;
	queue->n += before->n;
	queue->bytes += before->bytes;
	queue_init(before);
}

void queue_forget_plain(struct queue *queue)
{
	struct incoming **at = &queue->first;
	queue->end = at;
	while (*at != NULL) {
		struct incoming *message = *at;
		if (!message->plain) {
			at = &message->next;
			queue->end = at;
			continue;
		}
		*at = message->next;
		queue->n--;
		queue->bytes -= incoming_size(message);
		message->next = NULL;
		incoming_free(message);
	}
}

static bool stands_after(const struct incoming *a, const struct incoming *b)
{
	if (a->plain != b->plain)
		return a->plain;
	return memcmp(&a->identity.stream, &b->identity.stream,
		       sizeof(a->identity.stream)) > 0;
}

static struct incoming *merge(struct incoming *a, struct incoming *b)
{
	struct incoming *first = NULL, **end = &first;
	while (a != NULL && b != NULL) {
		struct incoming **from = stands_after(a, b) ? &b : &a;
		*end = *from;
		end = &(*from)->next;
		*from = *end;
	}
	*end = a != NULL ? a : b;
	return first;
}

void queue_group(struct queue *queue)
{
	/* runs[i]: 2^i messages in order, which came before those of the lower ones. */
	struct incoming *runs[64] = {NULL};
	struct incoming *left = queue->first;
	size_t i, used = 0;
	while (left != NULL) {
		struct incoming *run = left;
		left = left->next;
		run->next = NULL;
		for (i = 0; i < used && runs[i] != NULL; i++) {
			run = merge(runs[i], run);
			runs[i] = NULL;
		}
		runs[i] = run;
		if (i == used)
			used++;
	}
	for (i = 0; i < used; i++)
		left = merge(runs[i], left);
	queue->first = left;
	for (queue->end = &queue->first; *queue->end != NULL;)
		queue->end = &(*queue->end)->next;
}

int results_add(struct results *results, const struct result *result)
{
	if (results->n == results->size) {
		size_t size = results->size == 0 ? 64 : results->size * 2;
		struct result *at = realloc(results->at, size * sizeof(*at));
		if (at == NULL)
			return -ENOMEM;
		results->at = at;
		results->size = size;
	}
	results->at[results->n++] = *result;
	return 0;
}
