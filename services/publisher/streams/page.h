/* A page of the outbox, as it comes from the file and goes to whoever sends it. */
#ifndef PUBLISHER_PAGE_H
#define PUBLISHER_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

/** A reading to append, or one that was loaded. */
struct outbox_reading {
	int64_t row; /**< of its stream */
	uint64_t seq;
	const char *json;
	uint32_t len;
	uint8_t clock;
	int64_t boottime_ns; /**< of one without a time; else 0 */
};

/** A page of consecutive readings of one stream. */
struct outbox_page {
	int64_t row;
	bool no_boot; /**< of the caller: one without a time cannot be sent either */
	struct outbox_reading *readings;
	size_t n, size;
	/** Below it and from what was asked for on, the file has no more that can be sent.
	 */
	uint64_t end;
	char *json; /**< what they point into */
	size_t json_size;
};

/** A page that is wanted: that stream's readings in the outbox, from that number on. */
struct page_want {
	struct stream *stream; /**< NULL: none */
	uint64_t seq;
};

#endif
