/*
 * What the outbox is told of what is in it: which readings are answered and can go, when a
 * boot began, that a sampler has closed its stream. On the loop.
 */
#ifndef PUBLISHER_NOTES_H
#define PUBLISHER_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "../settings.h"
#include "../streams/streams.h"
#include "job.h"

/** Zeroed but for the first two. Only notes.c writes the rest. */
struct notes {
	const struct publisher_config *config;
	struct streams *streams;
	bool all;	  /**< stopping: nothing waits for more of its kind */
	int64_t floor_us; /**< as the outbox knows it */
	bool failed, remove_failed;
	int64_t retry_ms;
	int64_t removed_ms; /**< when answered readings were last removed */
};

/** The outbox was opened, and that is the floor that it knows. */
void notes_begin(struct notes *notes, int64_t floor_us);

/** Its file is a new one: nothing is known there. */
void notes_forget(struct notes *notes);

/** Add what is due to the job: notes before, removes after spill_collect() made room. */
void notes_collect(struct notes *notes, struct job *job, int64_t now_ms);
void notes_collect_removes(struct notes *notes, struct job *job, int64_t now_ms);

/** What became of it; what failed is due again. */
void notes_done(struct notes *notes, const struct job *job, int64_t now_ms);

int64_t notes_deadline(const struct notes *notes);

#endif
