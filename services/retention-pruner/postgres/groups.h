/*
 * Sensors by the policy that they have: a statement is for all of a group. No call to the
 * server. Nothing fails: memory that is missing ends the process.
 */
#ifndef PRUNER_GROUPS_H
#define PRUNER_GROUPS_H

#include <stdbool.h>
#include <stddef.h>

#include "../policies.h"

struct group {
	const struct policy *policy;
	char *ids; /**< of the sensors, as an array for PostgreSQL: {1,2,3} */
	size_t len, size, n;
};

/** All zero is empty. */
struct groups {
	struct group *at; /**< groups may have no sensor */
	size_t n;
	int64_t longest_us; /**< age of readings in any policy, with sensors yet or not */
};

/**
 * Begin anew, with a group for each policy, without sensors.
 * @param policies  outlive the groups, which point to them
 */
void groups_begin(struct groups *groups, const struct policies *policies);

/** @param policies  of groups_begin()  @param id  of the sensor, in decimal: copied */
void groups_add(struct groups *groups, const struct policies *policies, const char *id,
	const char *topic, const char *name);

/** Free all; empty again. */
void groups_finish(struct groups *groups);

/**
 * Whether readings of the group go one by one, at their age: not with the whole day, as
 * others of the same days stay for longer, or as a day is long for them.
 */
bool groups_go_singly(const struct groups *groups, const struct group *group);

#endif
