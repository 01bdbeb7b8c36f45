/*
 * One simulated node: a connection, a stream and a window of its own, as a publisher
 * has. It sends again until it is answered.
 *
 *   temperature = 15 + n / 10^6     n: the reading's number in its stream, from 1
 *   humidity    = 30 + (seed + node) mod 1000 / 100
 *   time        = the start of the program + n / rate seconds; without a rate, n / 1000
 */
#ifndef BENCH_NODE_H
#define BENCH_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "clock.h"
#include "identity.h"
#include "intervals.h"
#include "publisher/uplink/delivery.h"
#include "tls_files.h"

#define NODE_WINDOW 64

struct options {
	const char *url;
	uint64_t nodes, readings, batch, rate, seed;
	bool quiet;
	const char *certificates; /**< a folder; NULL: no TLS */
};

/** What the nodes share. */
struct load {
	struct options options;
	uv_loop_t loop;
	struct dp_clock clock;
	int64_t start_us; /**< wall clock, and the loop's */
	int64_t start_ms;
	char *batch;   /**< NODE_BATCH_BYTES, for the one being cut */
	uint64_t open; /**< nodes with readings that are not answered */
	uint64_t connected;
	void (*all_answered)(struct load *load);
	struct node *nodes;
	uv_timer_t tick;
	uv_signal_t sigterm, sigint;
	bool stopping;
};

#define NODE_BATCH_BYTES (256u << 10) /* of a payload, as the contract allows */

struct node {
	struct load *load;
	char name[48], client_id[64], topic[64], answer_topic[64];
	char ca_file[512], cert_file[512], key_file[512];
	struct dp_tls_files tls;
	struct dp_stream_id stream;
	struct dp_bus *bus;
	struct delivery delivery;
	struct flight flights[NODE_WINDOW];
	uint64_t made;		       /**< readings that exist */
	struct dp_intervals waiting;   /**< to be sent */
	struct dp_intervals answered;  /**< final: stored or rejected */
	uint64_t n_answered, rejected; /**< readings */
	uint64_t messages, later, connects;
	double humidity;
};

/** Make the node of that index in load->nodes, which is zeroed, and begin to connect. */
void node_open(struct load *load, uint64_t index);

/** Every few milliseconds: make readings, send what is due. */
void node_work(struct node *node);

/** Disconnect; the loop goes on until that is done. */
void node_close(struct node *node);

/** Free what the node holds, once the loop has ended. */
void node_finish(struct node *node);

#endif
