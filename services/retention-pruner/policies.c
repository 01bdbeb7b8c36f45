#include "policies.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"

#define SETTING "RETENTION"
#define PREFIX SETTING "_"

const char policies_ambiguous[] = "an override of RETENTION means more than one thing: "
				  "see the log of the pruner";

/* @return the text behind NAME=, or NULL when it is no override */
static const char *value_of(const char *entry, size_t *name_len)
{
	size_t prefix = strlen(PREFIX);
	const char *equals = strchr(entry, '=');
	if (equals == NULL || strncmp(entry, PREFIX, prefix) != 0)
		return NULL;
	*name_len = (size_t)(equals - entry);
	bool file = *name_len == strlen(PREFIX "FILE") &&
		    strncmp(entry, PREFIX "FILE", *name_len) == 0;
	return file || *name_len == prefix || equals[1] == '\0' ? NULL : equals + 1;
}

static int add(struct policies *policies, const char *entry, size_t len, const char *value)
{
	struct override override = {.seen = false};
	char name[POLICIES_KEY_MAX + 16];
	const char *why;
	snprintf(name, sizeof(name), "%.*s", (int)len, entry);
	if (len - strlen(PREFIX) >= sizeof(override.key)) {
		dp_config_reject(name, value, "a shorter name");
		return -EINVAL;
	}
	int err = policy_parse(value, &policies->all, &override.policy, &why);
	if (err != 0) {
		dp_config_reject(name, value, why);
		return err;
	}
	size_t prefix = strlen(PREFIX);
	memcpy(override.key, entry + prefix, len - prefix);
	override.key[len - prefix] = '\0';
	struct override *more = realloc(
		policies->overrides, (policies->n + 1) * sizeof(*policies->overrides));
	if (more == NULL)
		dp_log_out_of_memory("a policy");
	policies->overrides = more;
	policies->overrides[policies->n++] = override;
	return 0;
}

int policies_load(
	struct policies *policies, const char *retention, char *const *environment)
{
	const char *why;
	*policies = (struct policies){.n = 0};
	int err = policy_parse(retention, NULL, &policies->all, &why);
	if (err != 0) {
		dp_config_reject(SETTING, retention, why);
		return err;
	}
	for (char *const *entry = environment; *entry != NULL; entry++) {
		size_t len;
		const char *value = value_of(*entry, &len);
		if (value != NULL && add(policies, *entry, len, value) != 0)
			err = -EINVAL;
	}
	return err;
}

void policies_finish(struct policies *policies)
{
	free(policies->overrides);
	*policies = (struct policies){.n = 0};
}

/* As an environment variable could be called. */
static void make_key(char *key, size_t size, const char *node, const char *sensor)
{
	snprintf(key, size, "%s%s%s", node, *sensor != '\0' ? "_" : "", sensor);
	for (char *c = key; *c != '\0'; c++)
		*c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
}

static struct override *find(const struct policies *policies, const char *key)
{
	for (size_t i = 0; i < policies->n; i++) {
		if (strcmp(policies->overrides[i].key, key) == 0)
			return &policies->overrides[i];
	}
	return NULL;
}

static const char *node_of(const char *topic)
{
	const char *slash = strrchr(topic, '/');
	return slash != NULL ? slash + 1 : topic;
}

/* ---- what is ambiguous ---- */

/* Whatever else would count for a sensor of the node. */
static void keep_as_node(
	const struct policies *policies, struct override *override, const char *node)
{
	char key[POLICIES_KEY_MAX];
	make_key(key, sizeof(key), node, "");
	const struct override *of_node = find(policies, key);
	if (of_node != NULL)
		policy_keep_longer(&override->policy, &of_node->policy);
}

static void note(struct policies *policies, const char *node, const char *sensor)
{
	char key[POLICIES_KEY_MAX];
	make_key(key, sizeof(key), node, sensor);
	struct override *override = find(policies, key);
	if (override == NULL)
		return;
	if (!override->seen) {
		snprintf(override->node, sizeof(override->node), "%s", node);
		snprintf(override->sensor, sizeof(override->sensor), "%s", sensor);
		override->seen = true;
		return;
	}
	if (strcmp(override->node, node) == 0 && strcmp(override->sensor, sensor) == 0)
		return;
	if (!override->ambiguous) {
		dp_log(DP_LOG_WARN,
			"an override means more than one thing here: what it matches is "
			"kept for the longest age of all that could be meant; rename one",
			"name=" PREFIX "%s node=%s sensor=%s other_node=%s other_sensor=%s",
			key, override->node, override->sensor, node, sensor);
		policy_keep_longer(&override->policy, &policies->all);
		keep_as_node(policies, override, override->node);
	}
	keep_as_node(policies, override, node);
	override->ambiguous = policies->ambiguous = true;
}

void policies_note(struct policies *policies, const char *topic, const char *sensor)
{
	if (policies->n == 0)
		return;
	note(policies, node_of(topic), "");
	if (*sensor != '\0')
		note(policies, node_of(topic), sensor);
}

/* ---- of a sensor ---- */

const struct policy *policies_of(
	const struct policies *policies, const char *topic, const char *sensor)
{
	const char *node = node_of(topic);
	char key[POLICIES_KEY_MAX];
	if (policies->n == 0)
		return &policies->all;
	make_key(key, sizeof(key), node, sensor);
	const struct override *found = find(policies, key);
	if (found == NULL) {
		make_key(key, sizeof(key), node, "");
		found = find(policies, key);
	}
	return found != NULL ? &found->policy : &policies->all;
}
