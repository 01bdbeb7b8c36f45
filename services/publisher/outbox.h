/*
 * The outbox: readings that the centre has not answered in time, in an SQLite file.
 * Every call waits for the disk and runs on the work queue, one at a time.
 */
#ifndef PUBLISHER_OUTBOX_H
#define PUBLISHER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity.h"
#include "intervals.h"
#include "topic.h"

struct outbox;

/** A stream as the outbox knows it. */
struct outbox_stream {
	int64_t row;
	struct dp_stream_id id;
	char node[DP_NAME_MAX + 1];
	uint64_t low; /**< the sampler's last word when it was last written; 0 none */
	struct dp_intervals stored;
};

/** A reading to append, or one that was loaded. */
struct outbox_reading {
	int64_t row; /**< of its stream */
	uint64_t seq;
	const char *json;
	uint32_t len;
	uint8_t clock;
};

/** A page of consecutive readings of one stream. */
struct outbox_page {
	int64_t row;
	struct outbox_reading *readings;
	size_t n, size;
	char *json; /**< what they point into */
	size_t json_size;
};

/**
 * Try to become the one user of the outbox at `path`.
 * @return a descriptor to keep; -EWOULDBLOCK another publisher has it; other errno
 */
int outbox_lock(const char *path);

/** Open or create. @return 0 or as dp_sqlite_open() */
int outbox_open(struct outbox **out, const char *path);
void outbox_close(struct outbox *outbox);

/** Of this outbox, 16 hexadecimal digits, made with the file. */
const char *outbox_instance(const struct outbox *outbox);

/**
 * The streams that have readings here, and the latest 64 that have none: whose
 * they are is remembered when the node is renamed.
 * @param each  called for each; takes over stream->stored
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
int outbox_commit(struct outbox *outbox);
void outbox_rollback(struct outbox *outbox);

/** Fill a page with the stream's readings from `seq` on. @return 0, -ENOMEM, -EIO ... */
int outbox_load(struct outbox *outbox, int64_t row, uint64_t seq, struct outbox_page *page);
void outbox_page_finish(struct outbox_page *page);

#endif
