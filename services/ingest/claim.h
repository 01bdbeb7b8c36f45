/*
 * One store takes what arrives at a broker: two would get half of it each. It says so in a
 * retained message on ingest/store/<store>/<instance>/<prefix>, which its will clears.
 * Several instances of one store share it. Between two stores, the one whose message
 * reached the broker first has it.
 *
 *   asking    subscribed to what all say; "ask" is on its way to the broker and back
 *   probing   somebody is said to be there: whoever is alive says so again
 *   claiming  "taken" is on its way; a stranger's that comes before it was first
 *   ours      until the connection is lost, or somebody has cleared it
 *   yielded   another store is there; once it has left, or after half a minute, we ask anew
 *
 * All of it is on the loop.
 */
#ifndef INGEST_CLAIM_H
#define INGEST_CLAIM_H

#include <stdbool.h>

#include <uv.h>

struct claim;
struct dp_tls_files;

struct claim_options {
	const char *url;
	const struct dp_tls_files *tls; /**< both as of a bus */
	const char *client_id;
	const char *instance, *prefix; /**< whose, and of which topics */
	const char *store;	       /**< its identity, hexadecimal */
	const char *name;	       /**< the same for people, without a password */
	void *data;
	/** It is ours now, or no longer; from the loop. */
	void (*changed)(void *data, bool ours);
};

/**
 * Connect and ask.
 * @param options  its strings are copied, but for url and tls, which outlive the loop
 * @return 0, -ENOMEM, -EINVAL a bad URL
 */
int claim_open(struct claim **out, uv_loop_t *loop, const struct claim_options *options);

/** Give it up and free it, from the loop; nothing is called any more. NULL is allowed. */
void claim_close(struct claim *claim);

/** Why it is not ours, in words, or NULL. */
const char *claim_health(const struct claim *claim);

#endif
