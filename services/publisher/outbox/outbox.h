/*
 * The outbox: readings that the centre has not answered in time, in an SQLite file.
 * Every call waits for the disk and runs on the worker, one at a time.
 */
#ifndef PUBLISHER_OUTBOX_H
#define PUBLISHER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../streams/page.h"
#include "clock.h"
#include "identity.h"
#include "intervals.h"
#include "topic.h"

#define OUTBOX_INSTANCE 16 /**< characters of its name */

struct outbox;

/** A boot as the outbox knows it: readings without a time refer to it. */
struct outbox_boot {
	int64_t row;
	char id[DP_BOOT_ID_LEN + 1];
	enum dp_clock_mark mark; /**< DP_CLOCK_NONE: it is not known when it began */
	int64_t start_us;
};

/** A stream as the outbox knows it. */
struct outbox_stream {
	int64_t row;
	struct dp_stream_id id;
	char node[DP_NAME_MAX + 1];
	uint64_t low; /**< the sampler's last word when it was last written; 0 none */
	bool closed;  /**< it was the last word, and the centre has not heard it */
	struct dp_intervals stored;
	uint64_t given_up;   /**< readings that could not be used and were removed */
	int64_t boot;	     /**< row of the boot of readings without a time; 0 none */
	uint64_t undated_to; /**< the last of them; 0 none */
	int64_t last_ns;     /**< since boot, the latest of them */
};

/**
 * Try to become the one user of the outbox at `path`.
 * @return a descriptor to keep; -EWOULDBLOCK another publisher has it; other errno
 */
int outbox_lock(const char *path);

/**
 * Open or create. No call waits longer than about a second for a lock.
 * @return 0 or as dp_sqlite_open(); -EUCLEAN also for a content that is not an outbox's
 */
int outbox_open(struct outbox **out, const char *path);
void outbox_close(struct outbox *outbox);

/** Of this outbox, 16 hexadecimal digits, made with the file. */
const char *outbox_instance(const struct outbox *outbox);

/**
 * The boots, oldest first; those that nothing refers to are forgotten.
 * @return 0; -EUCLEAN what is there cannot be; other errno
 */
int outbox_boots(struct outbox *outbox,
	void (*each)(void *data, const struct outbox_boot *boot), void *data);

/** No time is guessed before it: see dating.h. 0 at first. */
int64_t outbox_floor_us(const struct outbox *outbox);

/**
 * The streams that have readings here or a last word to be heard, and the latest 64
 * that have neither: whose they are is remembered when the node is renamed.
 * Readings that cannot be used are removed, and said to be.
 * @param each  called for each; takes over stream->stored
 * @return as outbox_boots()
 */
int outbox_streams(struct outbox *outbox,
	void (*each)(void *data, struct outbox_stream *stream), void *data);

/** Make a row for a stream, or find the one it has. */
int outbox_add_stream(struct outbox *outbox, const struct dp_stream_id *id,
	const char *node, int64_t *row);

/** One transaction for what follows up to outbox_commit() or outbox_rollback(). */
int outbox_begin(struct outbox *outbox);
int outbox_append(struct outbox *outbox, const struct outbox_reading *reading);
int outbox_set_low(struct outbox *outbox, int64_t row, uint64_t low);
int outbox_remove(struct outbox *outbox, int64_t row, uint64_t first, uint64_t last);
/** The sampler's last word: `low`, unless the centre has heard it. */
int outbox_set_closed(struct outbox *outbox, int64_t row, uint64_t low, bool closed);
/** Find or add a boot, and say that a stream's readings without a time refer to it. */
int outbox_set_boot(
	struct outbox *outbox, int64_t row, const char *boot_id, int64_t *boot_row);
/** It is known, or guessed, when a boot began. */
int outbox_date_boot(struct outbox *outbox, const struct outbox_boot *boot);
int outbox_set_floor(struct outbox *outbox, int64_t floor_us);
int outbox_commit(struct outbox *outbox);
void outbox_rollback(struct outbox *outbox);

struct outbox_usage {
	uint64_t bytes;	     /**< that readings take up in the file */
	uint64_t free_pages; /**< of the file, to be used again or given back */
	int64_t oldest_us;   /**< time of the first reading; 0 none, or it has no time */
};

/** How full it is. */
int outbox_usage(struct outbox *outbox, struct outbox_usage *usage);

/** Give some free pages back to the file system. */
int outbox_shrink(struct outbox *outbox);

/**
 * Fill a page with the stream's readings from `seq` on, but for those that a damage has
 * made unreadable. @return 0, -ENOMEM, -EIO ...
 */
int outbox_load(struct outbox *outbox, int64_t row, uint64_t seq, struct outbox_page *page);
void outbox_page_finish(struct outbox_page *page);

#endif
