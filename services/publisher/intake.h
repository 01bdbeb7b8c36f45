/*
 * Intake: readings from the node's samplers. What can be read is in memory afterwards,
 * dated as well as it can be, and is answered for once it is stored or in the outbox. What
 * cannot be taken now stays with the sampler, which sends it again. All of it is on the
 * loop.
 */
#ifndef PUBLISHER_INTAKE_H
#define PUBLISHER_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "clock.h"
#include "reading.h"
#include "settings.h"
#include "streams/streams.h"

/** What intake refers to outlives it. */
struct intake_options {
	uv_loop_t *loop;
	const struct dp_clock *clock;
	const struct publisher_config *config;
	struct streams *streams; /**< the owner's; new ones are added here */
	void *data;
	/** A reading came, taken or not; both live for the call. */
	void (*seen)(void *data, const struct dp_identity *identity,
		const struct dp_reading *reading);
	/** Whether somebody else refers to a stream: else it may be forgotten. */
	bool (*in_use)(void *data, const struct stream *stream);
};

/** Only intake.c writes it. */
struct intake {
	struct intake_options options;
	enum dp_clock_trust trust;
	int64_t clock_wait_ms;
	int64_t waiting_since_ms; /**< readings wait for their time; 0 none does */
	int64_t clock_due_ms;	  /**< when to look at the clock again */
	uint64_t received, accepted, duplicates, refused; /**< statistics */
};

void intake_init(struct intake *in, const struct intake_options *options);

/** A message on local/reading/<sensor>. */
void intake_reading(struct intake *in, const struct dp_bus_message *message);

/** One on local/last/<sensor>: a reading that waits at the sampler. */
void intake_waiting(struct intake *in, const struct dp_bus_message *message);

/** Tell the samplers, on the node's broker, what is accepted. */
void intake_answer(struct intake *in, struct dp_bus *bus);

/** Give readings without a time their time, once it is known. */
void intake_date(struct intake *in);

/** When intake_date() has something to do; INT64_MAX never. */
int64_t intake_deadline(const struct intake *in);

#endif
