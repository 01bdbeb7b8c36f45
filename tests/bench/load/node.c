#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ack.h"
#include "number.h"
#include "random.h"

static void watch(const struct node *node, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = (void *)(uintptr_t)node};
	if (epoll_ctl(node->load->epoll, how, node->fd, &event) != 0)
		load_fail("epoll", -errno);
}

void node_open(struct load *load, uint64_t index)
{
	struct node *node = &load->nodes[index];
	char client_id[64];
	node->load = load;
	snprintf(client_id, sizeof(client_id), "load-%" PRIu64, index);
	snprintf(node->topic, sizeof(node->topic), "/data/node-%" PRIu64 "/batch", index);
	snprintf(node->answer_topic, sizeof(node->answer_topic),
		"ack/node-%" PRIu64 "/load", index);
	dp_random(node->stream.bytes, DP_STREAM_BYTES);
	dp_hex_encode(node->stream.bytes, DP_STREAM_BYTES, node->stream_hex);
	node->flights = calloc(load->slots, sizeof(*node->flights));
	if (node->flights == NULL)
		load_fail("a node", -ENOMEM);
	node->fd = load_connect(&load->options, client_id, node->answer_topic);
	fcntl(node->fd, F_SETFL, O_NONBLOCK);
	watch(node, EPOLL_CTL_ADD, EPOLLIN);
}

void node_close(struct node *node)
{
	close(node->fd);
	free(node->flights);
	free(node->rest);
	packet_finish(&node->reader);
}

/* ---- out ---- */

static void write_all(struct node *node, const struct iovec *parts, int n)
{
	size_t len = 0;
	for (int i = 0; i < n; i++)
		len += parts[i].iov_len;
	ssize_t written = writev(node->fd, parts, n);
	if (written < 0 && errno != EAGAIN)
		load_fail("writing", -errno);
	size_t done = written < 0 ? 0 : (size_t)written;
	if (done == len)
		return;
	node->rest = malloc(len - done);
	if (node->rest == NULL)
		load_fail("a message", -ENOMEM);
	node->rest_at = 0;
	node->rest_len = 0;
	for (int i = 0; i < n; i++) {
		size_t skip = done < parts[i].iov_len ? done : parts[i].iov_len;
		memcpy(node->rest + node->rest_len, (const char *)parts[i].iov_base + skip,
			parts[i].iov_len - skip);
		node->rest_len += parts[i].iov_len - skip;
		done -= skip;
	}
	watch(node, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void write_rest(struct node *node)
{
	ssize_t n =
		write(node->fd, node->rest + node->rest_at, node->rest_len - node->rest_at);
	if (n < 0 && errno != EAGAIN)
		load_fail("writing", -errno);
	node->rest_at += n > 0 ? (size_t)n : 0;
	if (node->rest_at < node->rest_len)
		return;
	free(node->rest);
	node->rest = NULL;
	watch(node, EPOLL_CTL_MOD, EPOLLIN);
}

/* Each message is a second later than the one before. */
static void set_time(struct payload *payload, int64_t seconds)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, seconds);
	for (uint32_t i = 0; i < payload->count; i++)
		memcpy(payload->text + payload->seconds[i], digits, (size_t)n);
}

bool node_send(struct node *node)
{
	struct load *load = node->load;
	struct payload *payload = &load->payload;
	struct flight *flight = &node->flights[node->next % load->slots];
	if (node->rest != NULL || node->next >= load->messages ||
		node->in_flight >= load->options.window || flight->sent_ns != 0)
		return false;
	uint8_t head[2 * PACKET_HEAD];
	const struct packet_batch batch = {
		.topic = node->topic,
		.response_topic = node->answer_topic,
		.stream = node->stream_hex,
		.first = node->next * payload->count + 1,
		.low = node->oldest * payload->count + 1,
		.number = node->next,
		.count = payload->count,
		.wait_ms = load->options.wait_ms,
		.id = (uint16_t)(node->next % UINT16_MAX + 1),
	};
	set_time(payload, load->base_s + (int64_t)node->next);
	*flight = (struct flight){node->next, load_now_ns()};
	const struct iovec parts[] = {{head, packet_batch(head, &batch, payload->len)},
		{payload->text, payload->len}};
	if (load->sent == 0)
		load->start_ns = flight->sent_ns;
	write_all(node, parts, 2);
	node->next++;
	node->in_flight++;
	load->sent++;
	return true;
}

/* ---- in ---- */

static void end_flight(struct node *node, uint64_t message, int64_t now_ns)
{
	struct load *load = node->load;
	struct flight *flight = &node->flights[message % load->slots];
	if (message >= node->next || flight->message != message || flight->sent_ns == 0)
		return;
	if (load->n_latencies == load->latencies_size) {
		load->latencies_size = 2 * load->latencies_size + 4096;
		uint32_t *latency_us = realloc(
			load->latency_us, load->latencies_size * sizeof(*latency_us));
		if (latency_us == NULL)
			load_fail("latencies", -ENOMEM);
		load->latency_us = latency_us;
	}
	load->latency_us[load->n_latencies++] =
		(uint32_t)((now_ns - flight->sent_ns) / 1000);
	flight->sent_ns = 0;
	node->in_flight--;
	load->ended++;
	load->end_ns = now_ns;
	while (node->oldest < node->next &&
		node->flights[node->oldest % load->slots].sent_ns == 0)
		node->oldest++;
}

static void on_range(void *data, const struct dp_ack_range *range)
{
	struct node *node = data;
	struct load *load = node->load;
	uint64_t count = load->payload.count;
	if (memcmp(&range->stream, &node->stream, sizeof(node->stream)) != 0)
		return;
	if (range->kind == DP_ACK_LATER) {
		load->later += range->count;
		return;
	}
	if (range->kind == DP_ACK_REJECTED)
		load->rejected += range->count;
	int64_t now_ns = load_now_ns();
	uint64_t end = (range->first - 1 + range->count) / count;
	for (uint64_t message = (range->first - 1) / count; message < end; message++)
		end_flight(node, message, now_ns);
}

static void on_error(void *data, const char *reason)
{
	(void)data;
	fprintf(stderr, "load: the centre could not read a batch: %s\n", reason);
	exit(EXIT_FAILURE);
}

static void on_packet(struct node *node, const struct packet *packet)
{
	struct load *load = node->load;
	uint8_t puback[8];
	if (packet->type == PACKET_PUBACK && load->options.pubacks) {
		uint64_t back = (node->next - packet->id) % UINT16_MAX;
		end_flight(node, node->next - 1 - back, load_now_ns());
	}
	if (packet->type != PACKET_PUBLISH)
		return;
	if (dp_ack_decode(packet->payload, packet->len, on_range, on_error, node) != 0)
		load_fail("an answer", -EBADMSG);
	if (packet->id == 0)
		return; /* QoS 0 */
	/* Behind half a message, it would be taken for the rest of it. */
	struct iovec part = {puback, packet_puback(puback, packet->id)};
	if (node->rest == NULL) {
		write_all(node, &part, 1);
		return;
	}
	char *rest = realloc(node->rest, node->rest_len + part.iov_len);
	if (rest == NULL)
		load_fail("an acknowledgement", -ENOMEM);
	node->rest = rest;
	memcpy(node->rest + node->rest_len, puback, part.iov_len);
	node->rest_len += part.iov_len;
}

void node_ready(struct node *node, uint32_t events)
{
	struct packet packet;
	int found = 0;
	if ((events & EPOLLOUT) != 0 && node->rest != NULL)
		write_rest(node);
	if ((events & ~(uint32_t)EPOLLOUT) != 0) {
		long n = packet_fill(&node->reader, node->fd);
		if (n <= 0 && n != -EAGAIN)
			load_fail("the broker hung up", n == 0 ? -EPIPE : (int)n);
		while ((found = packet_next(&node->reader, &packet)) == 1)
			on_packet(node, &packet);
	}
	if (found < 0)
		load_fail("a packet", found);
	while (node->load->options.rate == 0 && node_send(node))
		;
}
