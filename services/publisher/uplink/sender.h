/*
 * Batches to the centre: what of the streams is sent next, what is in flight, and when it
 * is sent again. Knows neither connections nor answers; given the time, on the loop.
 */
#ifndef PUBLISHER_SENDER_H
#define PUBLISHER_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../settings.h"
#include "../streams/streams.h"
#include "bus.h"
#include "delivery.h"
#include "encoding.h"
#include "message.h"
#include "pacing.h"
#include "paging.h"
#include "refusal.h"

#define SENDER_WINDOW 64

/** Only sender.c writes it, and delivery.c, encoding.c, pacing.c, paging.c and refusal.c
 * what is theirs.
 */
struct sender {
	const struct publisher_config *config;
	struct streams *streams;
	struct dp_bus *bus;   /**< NULL: not yet */
	const char *instance; /**< where answers go: ack/<node>/<instance> */
	struct delivery delivery;
	struct flight flights[SENDER_WINDOW];
	struct refusal refusal;
	struct encoding encoding;
	struct pacing pacing;
	bool crowded;	    /**< memory is filling: nothing waits */
	int64_t backlog_ms; /**< with the disk first: since when some of it is unsent; 0 */
	char *batch;	    /**< being cut */
	struct paging paging;
	int64_t page_retry_ms; /**< after what could not be published */
	uint64_t batches;      /**< statistics */
};

/** What is passed outlives the sender. Ends the process when there is no memory. */
void sender_init(struct sender *sender, const struct publisher_config *config,
	struct streams *streams);
void sender_finish(struct sender *sender);

/**
 * While connected: send all that may be sent now.
 * @param no_disk  the outbox cannot be written now: nothing waits for it
 * @return whether anything was
 */
bool sender_send(struct sender *sender, bool no_disk, int64_t now_ms);

/** That page is there, see sender_wants(); dropped when it is not wanted any more. */
void sender_page(struct sender *sender, struct stream *stream,
	const struct outbox_page *page, int64_t now_ms);

/** While connected: which page is wanted now, if any. The page before is done with. */
struct page_want sender_wants(struct sender *sender, int64_t now_ms);

/** These are answered, or will be sent no more: they are not in flight. */
void sender_answered(
	struct sender *sender, const struct stream *stream, uint64_t first, uint64_t count);

/** The message in flight with that correlation data; NULL: none. */
const struct flight *sender_find(
	const struct sender *sender, const void *correlation, size_t len);

/** The same of a whole message, by its number. @return false: it is not in flight */
bool sender_message_answered(struct sender *sender, uint64_t number, struct flight *flight);
struct stream *sender_stream_of(const struct flight *flight);

/** Whether any of them is in flight in an encoded message. */
bool sender_any_encoded(const struct sender *sender, const struct stream *stream,
	uint64_t first, uint64_t count);

/** These are to be sent again. */
void sender_unsend(
	struct sender *sender, struct stream *stream, uint64_t first, uint64_t count);

/** An encoded message is postponed: what is sent now goes as it is, and at once. */
void sender_send_plain(struct sender *sender, int64_t now_ms);

/**
 * What is not answered in time is to be sent again.
 * @return how many messages whose answer was wanted at once: more than late ones
 */
unsigned sender_expire(struct sender *sender, int64_t now_ms);

/** The broker takes nothing under that name, which is not the node's: ungranted.h. */
void sender_refuse_name(struct sender *sender, const char *name, int64_t now_ms);

/** The connection is gone: all is to be sent again. */
void sender_disconnected(struct sender *sender);

bool sender_in_flight(
	const struct sender *sender, const struct stream *stream, uint64_t seq);

/** Whether it refers to the stream. */
bool sender_uses(const struct sender *sender, const struct stream *stream);

int64_t sender_deadline(const struct sender *sender, int64_t now_ms);

/**
 * An answer with that correlation data, if it is about a last word: whatever it says, the
 * word was heard.
 * @param strange  whether it was not said, or is answered already
 * @return false: the answer is about something else
 */
bool sender_last_word_answered(
	struct sender *sender, const void *correlation, size_t len, bool *strange);

#endif
