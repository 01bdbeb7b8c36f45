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
	struct override override;
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

static const struct policy *find(const struct policies *policies, const char *key)
{
	for (size_t i = 0; i < policies->n; i++) {
		if (strcmp(policies->overrides[i].key, key) == 0)
			return &policies->overrides[i].policy;
	}
	return NULL;
}

const struct policy *policies_of(
	const struct policies *policies, const char *topic, const char *sensor)
{
	const char *slash = strrchr(topic, '/');
	const char *node = slash != NULL ? slash + 1 : topic;
	char key[POLICIES_KEY_MAX];
	if (policies->n == 0)
		return &policies->all;
	make_key(key, sizeof(key), node, sensor);
	const struct policy *found = find(policies, key);
	if (found == NULL) {
		make_key(key, sizeof(key), node, "");
		found = find(policies, key);
	}
	return found != NULL ? found : &policies->all;
}
