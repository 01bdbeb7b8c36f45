/* The node's services as on a board: the sampler, its broker, and who listens there. */
#ifndef RIG_NODE_H
#define RIG_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sampler {
	pid_t pid;
	char log[64], ledger[64];
};

/**
 * Start the node's broker, and a client that notes what is published below local/.
 * Without it a sampler works as well, and waits for its broker.
 */
void broker_start(void);

/** How many messages were published on that topic with this in their payload. */
unsigned broker_heard(const char *topic, const char *text);

/** Publish a message with that payload. */
void broker_publish(const char *topic, const char *payload);

/**
 * Start the sampler of the image: user 10001, no capability, and the group of the GPIO
 * devices.
 * @param settings  `NAME=value`, ended by NULL
 */
struct sampler sampler_start(const char *const settings[]);
#define SAMPLER(...) sampler_start((const char *const[]){__VA_ARGS__, NULL})

/** The same without that group. */
struct sampler sampler_start_without_group(const char *const settings[]);

/** Ask it to stop and require that it does, well. */
void sampler_stop(const struct sampler *sampler);

/** How often its log holds that text. */
unsigned sampler_logged(const struct sampler *sampler, const char *text);

/**
 * What it sampled, by its ledger: one quantity of one sensor, in order.
 * @return how many there are, at most max of them in values
 */
size_t sampler_values(const struct sampler *sampler, const char *sensor,
	const char *quantity, double *values, size_t max);

/** The last one, NAN before there is one. */
double sampler_last(
	const struct sampler *sampler, const char *sensor, const char *quantity);

/** How many. */
size_t sampler_count(
	const struct sampler *sampler, const char *sensor, const char *quantity);

/** A counter of its statistics as last published, or -1. STATS_PERIOD_S=1 helps. */
long sampler_counter(const char *name);

/** Show the end of every log of the scenario. */
void node_show_logs(void);

#endif
