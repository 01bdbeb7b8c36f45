#include "node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ack.h"
#include "log.h"
#include "random.h"
#include "reading.h"

#define RESERVE 8
#define RESEND_MS 3000
#define RESEND_LIMIT_MS 60000
#define SENSOR "bench"

static void must(int err)
{
	if (err != 0)
		dp_log_out_of_memory("a node");
}

static int64_t now_ms(const struct load *load)
{
	return (int64_t)uv_now(&load->loop);
}

static enum delivery_class class_of(const struct load *load)
{
	return load->options.rate > 0 ? DELIVERY_LIVE : DELIVERY_BACKLOG;
}

/* ---- readings ---- */

/* Sent again, a reading has the same time. */
static int64_t reading_time(const struct load *load, uint64_t n)
{
	uint64_t rate = load->options.rate > 0 ? load->options.rate : 1000;
	return load->start_us + (int64_t)(n * 1000000 / rate);
}

/* SenML of the readings [first, first + count) in load->batch. @return its length */
static size_t encode_batch(const struct node *node, uint64_t first, uint32_t *count)
{
	struct load *load = node->load;
	size_t len = 0;
	uint32_t n = 0;
	for (; n < *count && NODE_BATCH_BYTES - len > DP_READING_JSON + 2; n++) {
		const struct dp_reading reading = {
			.sensor = dp_slice(SENSOR),
			.has_time = true,
			.ts_us = reading_time(load, first + n),
			.n = 2,
			.values = {{dp_slice("temperature"), dp_slice("Cel"),
					   (double)(15000000 + (first + n)) / 1e6},
				{dp_slice("humidity"), dp_slice("%RH"), node->humidity}},
		};
		load->batch[len] = n == 0 ? '[' : ',';
		int written = dp_reading_encode(
			&reading, load->batch + len + 1, NODE_BATCH_BYTES - len - 1);
		if (written < 0)
			break;
		len += (size_t)written + 1;
	}
	load->batch[len++] = ']';
	*count = n;
	return len;
}

/* ---- batches out ---- */

static int publish(
	struct node *node, uint64_t first, uint32_t count, size_t len, uint64_t number)
{
	struct dp_interval oldest;
	struct dp_identity identity = {
		.stream = node->stream, .first = first, .count = count};
	struct dp_identity_text text;
	char correlation[24];
	/* What is not answered is still held here. */
	identity.low = dp_intervals_missing(&node->answered, 1, first, &oldest)
			       ? oldest.first
			       : first;
	dp_identity_encode(&identity, &text);
	int n = snprintf(correlation, sizeof(correlation), "%" PRIu64, number);
	const struct dp_bus_message message = {
		.topic = node->topic,
		.payload = node->load->batch,
		.len = len,
		.qos = 1,
		.content_type = DP_CONTENT_TYPE,
		.response_topic = node->answer_topic,
		.correlation = correlation,
		.correlation_len = (size_t)n,
		.properties = text.properties,
		.n_properties = text.n,
	};
	return dp_bus_publish(node->bus, &message);
}

/* What of a flight is not answered yet is to be sent again. */
static void give_back(struct node *node, const struct flight *flight)
{
	uint64_t first = flight->first, last = flight->first + flight->count - 1;
	struct dp_interval gap;
	while (first <= last && dp_intervals_missing(&node->answered, first, last, &gap)) {
		must(dp_intervals_add(&node->waiting, gap.first, gap.last));
		first = gap.last + 1;
	}
}

static bool send_one(struct node *node)
{
	const struct load *load = node->load;
	const struct dp_interval *next = node->waiting.at;
	uint64_t first = next->first, left = next->last - next->first + 1;
	uint64_t batch = load->options.batch;
	/* A batch leaves when it is full; the last one as it is. */
	if (left < batch && next->last == node->made && node->made < load->options.readings)
		return false;
	uint32_t count = (uint32_t)(left < batch ? left : batch);
	size_t len = encode_batch(node, first, &count);
	const struct flight *flight = delivery_send(
		&node->delivery, class_of(load), 0, first, count, now_ms(load), 0);
	uint64_t number = flight->number;
	must(dp_intervals_remove(&node->waiting, first, first + count - 1));
	int err = publish(node, first, count, len, number);
	if (err == 0) {
		node->messages++;
		return true;
	}
	struct flight back;
	if (delivery_remove(&node->delivery, number, &back))
		give_back(node, &back);
	if (err != -ENOTCONN)
		dp_log(DP_LOG_ERROR, "cannot publish a batch", "node=%s error=\"%s\"",
			node->name, strerror(-err));
	return false;
}

static void send_waiting(struct node *node)
{
	while (node->waiting.n > 0 && dp_bus_connected(node->bus) &&
		delivery_may_send(&node->delivery, class_of(node->load)) && send_one(node))
		;
}

/* ---- answers in ---- */

static void settle(struct node *node, uint64_t first, uint64_t count)
{
	struct load *load = node->load;
	uint64_t last = first + count - 1, at = first;
	struct dp_interval gap;
	if (last > node->made)
		return;
	while (at <= last && dp_intervals_missing(&node->answered, at, last, &gap)) {
		node->n_answered += gap.last - gap.first + 1;
		at = gap.last + 1;
	}
	must(dp_intervals_add(&node->answered, first, last));
	must(dp_intervals_remove(&node->waiting, first, last));
	delivery_answer(&node->delivery, 0, first, count);
	if (node->n_answered == load->options.readings && --load->open == 0)
		load->all_answered(load);
}

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct node *node = data;
	if (memcmp(&range->stream, &node->stream, sizeof(range->stream)) != 0 ||
		node->n_answered == node->load->options.readings)
		return;
	if (range->kind == DP_ACK_LATER) {
		/* Its time will be up, and then it is sent again. */
		node->later++;
		return;
	}
	if (range->kind == DP_ACK_REJECTED)
		node->rejected += range->count;
	settle(node, range->first, range->count);
}

static void on_error(void *data, const char *reason)
{
	const struct node *node = data;
	dp_log(DP_LOG_ERROR, "the centre could not read a batch", "node=%s reason=\"%s\"",
		node->name, reason);
}

static void on_message(void *data, const struct dp_bus_message *message)
{
	struct node *node = data;
	int err = dp_ack_decode(message->payload, message->len, on_range, on_error, node);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "malformed answer", "node=%s error=\"%s\"", node->name,
			strerror(-err));
	send_waiting(node);
}

/* Says when all are, and when none is. */
static void say_connected(struct load *load, uint64_t now)
{
	load->connected = now;
	if (now == 0 || now == load->options.nodes)
		fprintf(stderr, "connected nodes=%" PRIu64 "\n", now);
}

static void on_connect(void *data)
{
	struct node *node = data;
	struct load *load = node->load;
	node->connects++;
	say_connected(load, load->connected + 1);
	dp_bus_subscribe(node->bus, node->answer_topic);
	send_waiting(node);
}

static void on_disconnect(void *data)
{
	struct node *node = data;
	struct flight flight;
	say_connected(node->load, node->load->connected - 1);
	while (delivery_reset(&node->delivery, &flight))
		give_back(node, &flight);
}

/* ---- from outside ---- */

static void make_readings(struct node *node)
{
	const struct options *options = &node->load->options;
	uint64_t due = options->readings;
	if (options->rate > 0) {
		int64_t elapsed_ms = now_ms(node->load) - node->load->start_ms;
		due = (uint64_t)elapsed_ms * options->rate / 1000;
	}
	if (due > options->readings)
		due = options->readings;
	if (due <= node->made)
		return;
	must(dp_intervals_add(&node->waiting, node->made + 1, due));
	node->made = due;
}

void node_work(struct node *node)
{
	struct flight flight;
	while (delivery_expire(&node->delivery, now_ms(node->load), &flight))
		give_back(node, &flight);
	make_readings(node);
	send_waiting(node);
}

/* @return the files of its identity; NULL where there is none */
static const struct dp_tls_files *identity_of(struct node *node)
{
	const char *folder = node->load->options.certificates;
	if (folder == NULL)
		return NULL;
	snprintf(node->ca_file, sizeof(node->ca_file), "%s/ca.pem", folder);
	snprintf(node->cert_file, sizeof(node->cert_file), "%s/%s.pem", folder, node->name);
	snprintf(node->key_file, sizeof(node->key_file), "%s/%s.key", folder, node->name);
	node->tls = (struct dp_tls_files){.ca_file = node->ca_file,
		.cert_file = node->cert_file,
		.key_file = node->key_file,
		.clock = &node->load->clock};
	return &node->tls;
}

void node_open(struct load *load, uint64_t index)
{
	struct node *node = &load->nodes[index];
	uint64_t jitter;
	node->load = load;
	dp_random(node->stream.bytes, sizeof(node->stream.bytes));
	dp_random(&jitter, sizeof(jitter));
	snprintf(node->name, sizeof(node->name), "node-%" PRIu64 "-%" PRIu64,
		load->options.seed, index);
	snprintf(node->client_id, sizeof(node->client_id), "dewpoint-%s", node->name);
	snprintf(node->topic, sizeof(node->topic), "/data/%s/batch", node->name);
	snprintf(node->answer_topic, sizeof(node->answer_topic), "ack/%s/sim", node->name);
	node->humidity = (double)(3000 + (load->options.seed + index) % 1000) / 100;
	delivery_init(&node->delivery, node->flights, NODE_WINDOW, RESERVE, RESEND_MS,
		RESEND_LIMIT_MS, jitter);
	const struct dp_bus_options options = {
		.url = load->options.url,
		.tls = identity_of(node),
		.client_id = node->client_id,
		.clean_start = true,
		.data = node,
		.on_connect = on_connect,
		.on_disconnect = on_disconnect,
		.on_message = on_message,
	};
	must(dp_bus_open(&node->bus, &load->loop, &options));
}

void node_close(struct node *node)
{
	dp_bus_close(node->bus, NULL);
}

void node_finish(struct node *node)
{
	dp_intervals_finish(&node->waiting);
	dp_intervals_finish(&node->answered);
}
