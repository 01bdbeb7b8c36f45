/*
 * Load: simulated nodes that keep the wire contract of common/README.md (identity, `low`,
 * correlation data, answers), with payloads made in advance. node.c has a node, count.c
 * the subscriber that only counts.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "identity.h"
#include "packet.h"

#define LOAD_WINDOW 1024 /* messages in flight of a node at most */
#define LOAD_SENSORS 8

struct options {
	const char *host;
	uint64_t port, nodes, readings, batch, sensors, window, rate, seconds, expect,
		wait_ms;
	bool pubacks; /**< the broker's acknowledgement is enough, nobody answers */
	bool count;
};

/** A payload of `batch` readings; the seconds of each reading's time are written in. */
struct payload {
	char *text;
	size_t len;
	size_t *seconds; /**< where, of each reading */
	uint32_t count;
};

struct flight {
	uint64_t message; /**< its number from 0; of a flight that has ended too */
	int64_t sent_ns;  /**< 0: none, or ended */
};

struct node {
	int fd;
	char topic[64], answer_topic[64];
	char stream_hex[DP_STREAM_HEX + 1];
	struct dp_stream_id stream;
	uint64_t next, oldest; /**< messages */
	uint64_t in_flight;
	struct flight *flights; /**< `window` rounded up to a power of two */
	struct reader reader;
	char *rest; /**< what the socket did not take */
	size_t rest_at, rest_len;
	struct load *load;
};

struct load {
	struct options options;
	struct payload payload;
	struct node *nodes;
	int epoll;
	uint64_t slots; /**< flights of a node */
	int64_t base_s; /**< the time of the first reading */
	int64_t start_ns, end_ns, stop_ns;
	uint64_t messages; /**< of each node; UINT64_MAX: until stop_ns */
	uint64_t sent, ended, rejected, later;
	uint32_t *latency_us;
	size_t n_latencies, latencies_size;
};

int64_t load_now_ns(void);

/** Connect and wait for the broker's word; ends the program when it does not come. */
int load_connect(const struct options *options, const char *client_id, const char *filter);

/** Make the node of that index, connected and subscribed to its answers. */
void node_open(struct load *load, uint64_t index);

/** Send one message, if the node has one and may. @return whether it did */
bool node_send(struct node *node);

/** What epoll said of its socket. */
void node_ready(struct node *node, uint32_t events);

void node_close(struct node *node);

/** Take `expect` batches and acknowledge them. @return the exit code */
int count_run(const struct options *options);

/** Say why and end the program. */
_Noreturn void load_fail(const char *what, int err);

#endif
