/*
 * The page of the outbox that is sent: which one is asked for, and how far it is sent.
 * Pure.
 */
#ifndef PUBLISHER_PAGING_H
#define PUBLISHER_PAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../streams/page.h"
#include "../streams/stream.h"
#include "delivery.h"

/** All zero is none. */
struct paging {
	struct page_want wanted; /**< the page that is asked for */
	struct stream *stream;	 /**< of the page that is sent; NULL: there is none */
	const struct outbox_page *page;
	size_t at; /**< the next of it to send */
};

/** That page is there; passed over when another is wanted. */
void paging_take(
	struct paging *paging, struct stream *stream, const struct outbox_page *page);

/** Nothing more of it; nor of the one that is asked for, which begins too late now. */
void paging_forget(struct paging *paging);

/** The same, if it is of a stream of that node. */
void paging_forget_of(struct paging *paging, const char *node);

/** Whether it refers to the stream. */
bool paging_uses(const struct paging *paging, const struct stream *stream);

/** Whether some of the page has not been sent. */
bool paging_has_more(const struct paging *paging);

/**
 * The next of the page that is neither in flight nor answered meanwhile.
 * @param owner  of the flights of its stream
 */
const struct outbox_reading *paging_next(
	struct paging *paging, const struct delivery *delivery, uint64_t owner);

/** The stream's first reading in the outbox that is not in flight; 0 none. */
uint64_t paging_first(
	const struct delivery *delivery, uint64_t owner, const struct stream *stream);

#endif
