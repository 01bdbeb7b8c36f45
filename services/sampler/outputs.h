/*
 * The outputs at work: acquired at the start, set by commands, let go at the end. What is
 * published is the level that was read back. On the loop's thread.
 *
 * The rule of what drives a line:
 * - `wanted` is the level without a pulse. It is what initial= says, then the last command
 *   that was carried out, or what lost= or exit= says: those two hold also while the device
 *   is away. With keep it is the level that was found when the device was acquired first.
 * - A pulse leaves `wanted` alone. When its time is over, when its device goes away, and at
 *   exit the line is driven to `wanted`, tried again until that is done.
 * - A command that is answered with an error changes nothing: it may have reached the line
 *   before it failed, so the line is driven back at once, to the pulse that goes on or to
 *   `wanted`. Nothing of it is kept for later.
 */
#ifndef SAMPLER_OUTPUTS_H
#define SAMPLER_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "bus.h"
#include "clock.h"
#include "output.h"
#include "presence.h"

#define OUTPUTS_SEEN 8
#define OUTPUTS_CORRELATION_MAX 256 /* longer is refused */

struct outputs;

struct output {
	struct outputs *all;
	const struct output_spec *spec;
	void *state;		  /* the driver's own */
	bool available;		  /* the level is known: */
	bool value;		  /* as it was read back */
	enum output_level wanted; /* without a pulse; KEEP: it never was available */
	unsigned failures;	  /* in a row */
	bool astray;		  /* it was said that it does not follow */
	bool pulsing, pulsed;	  /* a pulse goes on; its level */
	uv_timer_t pulse, lost;
	char json[64]; /* its state, empty before it is known */
	struct {
		uint8_t bytes[OUTPUTS_CORRELATION_MAX];
		size_t len;
	} seen[OUTPUTS_SEEN]; /* the last pulses that were carried out */
	size_t n_seen;
};

struct outputs_options {
	uv_loop_t *loop;
	const struct dp_clock *clock;
	enum dp_clock_trust trust;
	const struct output_list *list;
	struct pins *pins;
	struct presence *presence;
};

struct outputs {
	struct outputs_options options;
	struct output at[OUTPUTS_MAX];
	size_t n;		    /* opened */
	bool publisher;		    /* it is there */
	uv_timer_t check;	    /* whether all is still as it was */
	uint64_t commands, refused; /* counters */
};

/**
 * Acquire them all. One whose device is not there is tried again. The struct is zeroed by
 * the caller, and large.
 * @param why  on failure: of which output what is wrong
 * @return 0; -EINVAL: outputs_close() those that were opened
 */
int outputs_open(struct outputs *outputs, const struct outputs_options *options, char *why,
	size_t why_size);

void outputs_connected(struct outputs *outputs);
void outputs_disconnected(struct outputs *outputs);

/** @return whether the message was for them */
bool outputs_message(struct outputs *outputs, const struct dp_bus_message *message);

/** Set what exit= says and let go. The loop goes on until the handles are closed. */
void outputs_close(struct outputs *outputs);

#endif
