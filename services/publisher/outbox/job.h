/*
 * What is done in the outbox's file in one go, each step a transaction of its own. The loop
 * fills it in, the worker runs it, and the loop reads what became of it: it is never in
 * two hands.
 */
#ifndef PUBLISHER_JOB_H
#define PUBLISHER_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../streams/streams.h"
#include "outbox.h"

enum job_step {
	JOB_STREAMS,
	JOB_NOTES,
	JOB_REMOVES,
	JOB_APPENDS,
	JOB_PROBE,
	JOB_LOAD,
	JOB_SHRINK,
	JOB_USAGE,
	JOB_STEPS
};

/** A reading to write. Its json is the job's until then. */
struct job_append {
	struct stream *stream;
	struct live_reading reading;
	uint64_t low;
	struct boot *boot;     /**< of a reading without a time, else NULL */
	int64_t row, boot_row; /**< once it is written */
};

/** All zero is nothing to do. Arrays are the job's; what they point to outlives it. */
struct job {
	struct {
		struct stream *stream;
		int64_t row; /**< valid once it is committed */
	} *streams;	     /**< seen for the first time: their node is written down */
	size_t n_streams;
	struct {
		struct boot *boot;
		struct outbox_boot known;
	} *dates;
	size_t n_dates;
	struct {
		struct stream *stream;
		int64_t row;
		uint64_t low;
		bool closed;
	} *closes;
	size_t n_closes;
	int64_t floor_us; /**< 0: as it was */
	struct {
		struct stream *stream;
		int64_t row;
		struct dp_interval range;
	} *removes;
	size_t n_removes;
	struct job_append *appends;
	size_t n_appends;
	bool probe; /**< writes the floor as it is, to see whether it can */
	int64_t probe_floor_us;
	struct stream *load_stream; /**< NULL: no page is loaded */
	int64_t load_row;
	uint64_t load_seq;
	bool shrink;

	int result[JOB_STEPS]; /**< 0 also for what was not to be done; -EBUSY, -ENOSPC...
				*/
	struct outbox_usage usage;
};

/** Zeroed room for at least one element; ends the process when there is none. */
__attribute__((returns_nonnull)) void *job_array(size_t count, size_t size);

/** Whether there is something to do. */
bool job_any(const struct job *job);

/** On the worker. @param page  filled when one is to be loaded */
void job_run(struct job *job, struct outbox *outbox, struct outbox_page *page);

/** Whether a step found the file damaged. */
bool job_found_damage(const struct job *job);

/**
 * Its file is being set aside: what it has written there counts as not written, and is in
 * memory again afterwards.
 */
void job_disown(struct job *job);

/** Free its arrays; it is empty afterwards. */
void job_clear(struct job *job);

#endif
