/*
 * What is last known of each sensor and output, by name: the reading or level, whether it
 * is online, whose it is, and what of it the centre is to be told. Given the time.
 */
#ifndef PUBLISHER_KNOWN_H
#define PUBLISHER_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"
#include "reading.h"
#include "shown.h"
#include "topic.h"

#define KNOWN_MAX 256

/** Of one sensor or output. */
struct known {
	char name[DP_NAME_MAX + 1];
	char json[512]; /**< the last reading or level, flat; empty: not known */
	struct shown shown;
	bool is_output;
	bool told, online; /**< told: `online` is known */
	bool json_due, status_due;
	/* claims.c and recall.c: whose it is, and what is left of it when it is nobody's.
	 */
	char sampler[DP_NAME_MAX + 1]; /**< whose it is, once it has said so */
	bool claimed;		       /**< that sampler is here and says so */
	char rival[DP_NAME_MAX + 1];   /**< another that says so too; empty: none */
	bool rival_online;
	bool at_centre; /**< the centre retains something of it from before */
	bool clear_due; /**< nobody has it any more: the centre is to forget it */
};

struct known_names {
	struct known at[KNOWN_MAX];
	size_t n;
	bool due; /**< the centre is to be told something of one of them */
};

/** By name, added when it is new; NULL when there are too many. */
struct known *known_of(struct known_names *names, struct dp_slice name);

/** Of the name behind a topic's last slash; NULL also when it is none. */
struct known *known_of_topic(struct known_names *names, const char *topic);

/** Whether a message says `online`. */
bool known_says_online(const struct dp_bus_message *message);

void known_note_online(struct known_names *names, struct known *known, bool online);

#endif
