/*
 * Commands down, answers up: cmd/<node>/<output>/set from the centre becomes
 * local/cmd/<output>, and its answer comes on local/answer/<id>/<response topic>.
 *
 * Each command with a response topic is in one place until it is answered: waiting for its
 * sampler, or sent to it. Either lasts 60 s at most; a sampler or a broker that goes ends
 * what was sent to it, and a stop of the publisher ends all. Only a publisher that dies
 * forgets: then the answer of the sampler is passed on by the next one if it comes so late,
 * and otherwise the caller's message expiry is all that ends the command.
 *
 * All of it is on the loop.
 */
#ifndef PUBLISHER_COMMANDS_H
#define PUBLISHER_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../settings.h"
#include "bus.h"
#include "clock.h"
#include "listeners.h"

#define COMMANDS_WAITING 32 /* for their sampler */
#define COMMANDS_SENT 64    /* that wait for its answer */

/** Zeroed but for the first two. Only commands.c and listeners.c write it. */
struct commands {
	const struct publisher_config *config;
	const struct dp_clock *clock;
	struct dp_bus *local, *centre; /**< NULL before commands_open() */
	struct listeners listeners;
	struct command *waiting[COMMANDS_WAITING];
	size_t n_waiting;
	struct command *sent[COMMANDS_SENT];
	size_t n_sent;
	uint64_t last_id; /**< of a command that was sent; the upper half is random */
	/* Since boot: when the loop last went to wait; the last stop of the process. */
	int64_t awake_ns, stopped_ns, resumed_ns;
	bool stopping;
	uint64_t received, refused; /**< statistics */
};

/** The buses are there, and stay until commands_finish(). */
void commands_open(struct commands *c, struct dp_bus *local, struct dp_bus *centre);

/** After each connect to the centre, and when the node's broker is gone. */
void commands_connected(struct commands *c);
void commands_local_disconnected(struct commands *c);

/** @return whether the message from the centre was a command */
bool commands_message(struct commands *c, const struct dp_bus_message *message);

/** Messages of the node: local/answer/#, local/listening/+. */
void commands_answered(struct commands *c, const struct dp_bus_message *message);
void commands_listening(struct commands *c, const struct dp_bus_message *message);

/**
 * One on local/sampler/<instance>.
 * @return whether listeners are gone with it: those that are here are to say so again
 */
bool commands_sampler(struct commands *c, const struct dp_bus_message *message);

/** Those that waited for their sampler are passed on, or wait on; none waits for ever. */
void commands_flush(struct commands *c);

/** Before the loop waits: so a stop of the process is noticed. */
void commands_note_awake(struct commands *c);

/** Whether commands_flush() has something to wait for: call it once a second. */
bool commands_any(const struct commands *c);

/** From now on commands are refused; at the end whatever waits is, too. */
void commands_stop(struct commands *c);
void commands_finish(struct commands *c);

#endif
