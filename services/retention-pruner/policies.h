/* The policy of each sensor: RETENTION, and what RETENTION_<NODE>s say differently. */
#ifndef PRUNER_POLICIES_H
#define PRUNER_POLICIES_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"

#define POLICIES_KEY_MAX 160

struct override {
	char key[POLICIES_KEY_MAX];
	struct policy policy;
	/** What it was found to mean first: a node, and a sensor of it or none. */
	char node[POLICIES_KEY_MAX], sensor[POLICIES_KEY_MAX];
	bool seen, ambiguous;
};

struct policies {
	struct policy all;
	struct override *overrides;
	size_t n;
	bool ambiguous; /**< an override is */
};

/** The reason while an override is ambiguous, as the report says it. */
extern const char policies_ambiguous[];

/**
 * From RETENTION's value and from the environment: RETENTION_<NODE> and
 * RETENTION_<NODE>_<SENSOR>, names in capitals and with _ for what is neither a letter
 * nor a digit. (RETENTION_FILE is not one of them.) Logs each that is bad.
 * @return 0 or -EINVAL; policies_finish() is due either way
 */
int policies_load(
	struct policies *policies, const char *retention, char *const *environment);
void policies_finish(struct policies *policies);

/**
 * Before a run, for each sensor of the table: note which overrides its names match. An
 * override that matches two nodes, two sensors, or a node and another node's sensor is
 * ambiguous, which is logged once. It may lengthen what it matches, never shorten it.
 */
void policies_note(struct policies *policies, const char *topic, const char *sensor);

/** Of a sensor as in the table: its topic ends with the node. The closest override wins. */
const struct policy *policies_of(
	const struct policies *policies, const char *topic, const char *sensor);

#endif
