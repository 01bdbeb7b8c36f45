/*
 * What the centre shows of this node: state/<node>/<name> and status/<node>/<name>, the
 * last that is known of each sensor and output (known.h), whose it is (claims.h), and the
 * same topics read back after a connect (recall.h). All of it is on the loop.
 */
#ifndef PUBLISHER_LAST_H
#define PUBLISHER_LAST_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "../settings.h"
#include "bus.h"
#include "claims.h"
#include "clock.h"
#include "known.h"
#include "reading.h"
#include "recall.h"

/** Only last.c writes it, and known.c, claims.c and recall.c what is theirs. */
struct last {
	uv_loop_t *loop;
	const struct dp_clock *clock;
	const char *node;
	struct dp_bus *bus; /**< NULL before last_open() */
	struct known_names names;
	struct claims claims;
	struct recall recall;
	int64_t apart_ms;   /**< between two volleys of sensors' states, at least */
	int json_qos;	    /**< of sensors' states */
	bool metered;	    /**< each byte of them costs */
	int64_t every_ms;   /**< SEND_EVERY, of sensors' states; 0: none */
	int64_t sent_ms;    /**< when sensors' were last sent */
	int64_t waiting_ms; /**< since when a sensor's state waits; 0: none does */
};

/** What is passed outlives it. */
void last_init(struct last *last, uv_loop_t *loop, const struct dp_clock *clock,
	const struct publisher_config *config);

/** The bus to the centre is there, and stays until last_finish(). */
void last_open(struct last *last, struct dp_bus *bus);

/** After each connect to the centre. */
void last_connected(struct last *last);

/** After each connect to the node's broker, and when that is gone. */
void last_local_connected(struct last *last);
void last_local_disconnected(struct last *last);

/** A message from the centre on another topic than those of the other parts. */
void last_message(struct last *last, const struct dp_bus_message *message);

/** A reading came in. */
void last_reading(struct last *last, const struct dp_identity *identity,
	const struct dp_reading *reading);

/** Messages of the node: local/state/<output>, local/status/<name>, local/sampler/+. */
void last_output(struct last *last, const struct dp_bus_message *message);
void last_status(struct last *last, const struct dp_bus_message *message);
void last_sampler(struct last *last, const struct dp_bus_message *message);

bool last_has_outputs(const struct last *last);

/**
 * Decide what is due; tell the centre what it does not know.
 * @param along  something is sent now anyway: what would be due soon goes with it
 */
void last_decide(struct last *last);
void last_send(struct last *last, bool along);

/** When either has something to do; INT64_MAX never. */
int64_t last_deadline(const struct last *last);

/** Before the end: without us nobody says what is online. */
void last_finish(struct last *last);

#endif
