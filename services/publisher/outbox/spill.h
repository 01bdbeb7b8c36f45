/*
 * Which readings leave memory for the outbox, and when: those that the centre does not
 * answer in time, all of them at a stop, and sooner when memory fills. On the loop.
 */
#ifndef PUBLISHER_SPILL_H
#define PUBLISHER_SPILL_H

#include <stdbool.h>
#include <stdint.h>

#include "../settings.h"
#include "../streams/streams.h"
#include "job.h"

/** Zeroed but for the first two. Only spill.c writes the rest. */
struct spill {
	const struct publisher_config *config;
	struct streams *streams;
	bool all;		   /**< stopping: everything in memory is due */
	int error;		   /**< why it was not written last, 0 it was */
	int64_t retry_ms;	   /**< nothing is written before */
	bool full;		   /**< the outbox has no room for what is new */
	uint64_t spilled, dropped; /**< statistics: readings */
};

/** When it next has something to write; INT64_MAX never. */
int64_t spill_due(const struct spill *spill, int64_t now_ms);

/** Add what is due to the job. */
void spill_collect(struct spill *spill, struct job *job, const struct outbox_usage *usage,
	int64_t now_ms);

/**
 * What became of it. What was not written is in memory again.
 * @param in_flight  whether that reading is on its way to the centre
 */
void spill_done(struct spill *spill, struct job *job, int64_t now_ms,
	bool (*in_flight)(void *data, const struct stream *stream, uint64_t seq),
	void *data);

/** How full the outbox is now: perhaps there is room again. */
void spill_note_usage(struct spill *spill, const struct outbox_usage *usage);

/** The last chance: whatever failed before, all is tried once more. */
void spill_stop(struct spill *spill);

#endif
