/*
 * Which sampler has which sensor or output, and what is true of a name that none has.
 *
 *   - A name belongs to the first sampler that says its status, as long as that sampler is
 *     here. What another one says of it meanwhile counts once the first is gone.
 *   - A sampler is here from its `online` on local/sampler/<instance> until its `offline`,
 *     which may be its last will. When it goes, its names are offline.
 *   - After a start, and after the node's broker was away, nobody is here before it has
 *     said so again; samplers do, when they connect and when they hear local/hello. A name
 *     that no sampler has claimed after five seconds is offline.
 *   - If the sampler that had it is here without claiming it, the name has left its
 *     settings: what the centre retains of it is cleared. So is what nobody knows the
 *     sampler of, once there is any.
 *
 * Given the time.
 */
#ifndef PUBLISHER_CLAIMS_H
#define PUBLISHER_CLAIMS_H

#include "known.h"

#define CLAIMS_SAMPLERS 32

/** Only claims.c writes it. */
struct claims {
	struct known_names *names;
	char samplers[CLAIMS_SAMPLERS][DP_NAME_MAX + 1]; /**< that are here */
	size_t n_samplers;
	int64_t decide_ms; /**< what nobody has claimed then is offline; INT64_MAX: decided
			    */
};

void claims_init(struct claims *claims, struct known_names *names);

/** A sampler says something of its sensor or output. */
void claims_note(
	struct claims *claims, struct known *known, const struct dp_bus_message *message);
void claims_note_sampler(
	struct claims *claims, const char *instance, bool online, int64_t now_ms);

/** There is a new connection: samplers say again what is theirs. */
void claims_expect(struct claims *claims, int64_t now_ms);
/** The node's broker is gone: nobody is here. */
void claims_forget(struct claims *claims, int64_t now_ms);

/** When decide_ms has come. */
void claims_decide(struct claims *claims, int64_t now_ms);

#endif
