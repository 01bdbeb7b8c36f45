/*
 * Which sampler listens for commands to which output. Only the sampler that has it says so,
 * on local/listening/<output>, each time it reads `online` on local/publisher: after its
 * subscriptions are made, and after ours. Nothing of it is retained or survives either
 * connection, so that nobody is taken for a listener who was one.
 */
#ifndef PUBLISHER_LISTENERS_H
#define PUBLISHER_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "bus.h"
#include "topic.h"

#define LISTENERS_MAX 256

/** Only listeners.c writes it. */
struct listeners {
	struct {
		char output[DP_NAME_MAX + 1], sampler[DP_NAME_MAX + 1];
	} at[LISTENERS_MAX];
	size_t n;
};

/** A message on local/listening/<output>. @return whether somebody listens now */
bool listeners_note(struct listeners *listeners, const struct dp_bus_message *message);

/**
 * One on local/sampler/<instance>.
 * @param lost  how many listeners are gone with it
 * @return the sampler that is gone, within the topic; NULL: none is
 */
const char *listeners_note_sampler(
	struct listeners *listeners, const struct dp_bus_message *message, size_t *lost);

/** The node's broker is gone: whoever listens must say so again. */
void listeners_forget(struct listeners *listeners);

/** @return the sampler that listens for commands to it, or NULL */
const char *listeners_of(const struct listeners *listeners, const char *output);

#endif
