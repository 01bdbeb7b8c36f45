/*
 * The uplink: the publisher's connection to the centre's broker, the batches that are in
 * flight there (sender.h), and what the centre answers. All of it is on the loop.
 */
#ifndef PUBLISHER_UPLINK_H
#define PUBLISHER_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "../settings.h"
#include "../streams/streams.h"
#include "bus.h"
#include "sender.h"

/** What the uplink refers to outlives it. */
struct uplink_options {
	uv_loop_t *loop;
	const struct publisher_config *config;
	struct streams *streams;
	void *data;
	/** Connected, and the centre knows that the node is online: subscribe to more. */
	void (*connected)(void *data);
	/** A message that is no answer to a batch; it lives for the call. */
	void (*message)(void *data, const struct dp_bus_message *message);
};

/** Only uplink.c writes it, and sender.c what is its own. */
struct uplink {
	struct uplink_options options;
	struct dp_bus *bus; /**< NULL before uplink_open(); others may publish with it */
	struct sender sender;
	bool silent; /**< messages time out unanswered */
	int64_t silent_until_ms;
	char client[96], ack_filter[96], status_topic[96];
	char former[320]; /**< which of the node's former names is refused, in words */
	uint64_t stored, rejected, later, strange_answers; /**< statistics */
};

void uplink_init(struct uplink *u, const struct uplink_options *options);

/** Start connecting. @param instance  whose answers are ours; outlives the uplink */
void uplink_open(struct uplink *u, const char *instance);

/** Say that the node is offline and disconnect; from now on nothing is called. */
void uplink_close(struct uplink *u);

/** After the loop has ended. */
void uplink_finish(struct uplink *u);

bool uplink_connected(const struct uplink *u);

/**
 * Send what is due: what is new, what was not answered in time, the page.
 * @param no_disk  as in sender_send()
 * @return of uplink_send(): whether anything was
 */
void uplink_expire(struct uplink *u);
bool uplink_send(struct uplink *u, bool no_disk);

/** Which page of the outbox is wanted now, if any: ask when it can be loaded. */
struct page_want uplink_wants(struct uplink *u);

/** It is loaded, and stays as it is until uplink_wants() says that another is wanted. */
void uplink_page(struct uplink *u, struct stream *stream, const struct outbox_page *page);

/** How many messages are in flight; whether that reading is in one of them. */
unsigned uplink_in_flight(const struct uplink *u);
bool uplink_has_in_flight(
	const struct uplink *u, const struct stream *stream, uint64_t seq);

/** Whether it refers to the stream. */
bool uplink_uses(const struct uplink *u, const struct stream *stream);

/** When uplink_expire() or uplink_send() has something to do; INT64_MAX never. */
int64_t uplink_deadline(const struct uplink *u);

/** What is wrong; NULL nothing. Valid until the next call. */
const char *uplink_health(struct uplink *u);

#endif
