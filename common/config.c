#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "nearest.h"
#include "number.h"
#include "topic.h"
#include "url.h"

#define SECRET_MAX 4096

void dp_config_reject(const char *name, const char *value, const char *allowed)
{
	dp_log(DP_LOG_ERROR, "bad setting", "name=%s value=\"%s\" allowed=\"%s\"", name,
		value, allowed);
}

const char *dp_check_mqtt_url(const char *value)
{
	struct dp_mqtt_url url;
	const char *why;
	if (dp_mqtt_url_parse(value, &url, &why) == 0)
		return NULL;
	return "mqtt://[user:password@]host[:port] or mqtts://...";
}

const char *dp_check_name(const char *value)
{
	return dp_name_valid(value, strlen(value))
		       ? NULL
		       : "1 to 64 of A-Z a-z 0-9 - . _, beginning with a letter or digit";
}

const char *dp_check_topic_prefix(const char *value)
{
	return dp_topic_prefix_valid(value) ? NULL
					    : "a topic without + # $, spaces and final /";
}

const char *dp_check_log_level(const char *value)
{
	enum dp_log_level level;
	return dp_log_parse_level(value, &level) == 0 ? NULL : "debug, info, warn, error";
}

const char *dp_check_clock_trust(const char *value)
{
	enum dp_clock_trust trust;
	return dp_clock_parse_trust(value, &trust) == 0 ? NULL : "auto, kernel, always";
}

const char *dp_check_duration(const char *value)
{
	int64_t ms;
	return dp_parse_duration_ms(value, &ms) == 0
		       ? NULL
		       : "a number and ms, s, m, h, d, w or y, such as 90s or 1h";
}

void dp_config_files_finish(struct dp_config_files *files)
{
	while (files->n > 0)
		free(files->texts[--files->n]);
}

/* @return the file's text without its final newline, or NULL, logged */
static const char *read_value_file(
	struct dp_config_files *files, const char *name, const char *path)
{
	if (files->n == DP_CONFIG_FILES) {
		dp_config_reject(name, path, "fewer settings from files");
		return NULL;
	}
	char *text = malloc(SECRET_MAX + 1);
	if (text == NULL)
		dp_log_out_of_memory("a setting's file");
	files->texts[files->n++] = text;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, SECRET_MAX + 1);
	int err = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0 || n > SECRET_MAX) {
		dp_log(DP_LOG_ERROR, "bad setting", "name=%s value=\"%s\" allowed=\"%s%s\"",
			name, path, "a readable file of at most 4096 bytes: ",
			n < 0 ? strerror(err) : "it is larger");
		return NULL;
	}
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	text[n] = '\0';
	return text;
}

static const char *set_variable(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && *value != '\0' ? value : NULL;
}

bool dp_config_given(const char *name)
{
	char file_name[80];
	snprintf(file_name, sizeof(file_name), "%s_FILE", name);
	return set_variable(name) != NULL || set_variable(file_name) != NULL;
}

/* @return 0 and *value, NULL when neither the variable nor its file is set */
static int find_value(
	const struct dp_option *option, struct dp_config_files *files, const char **value)
{
	char file_name[80];
	snprintf(file_name, sizeof(file_name), "%s_FILE", option->name);
	const char *path = set_variable(file_name);
	*value = set_variable(option->name);
	if (path == NULL)
		return 0;
	if (*value != NULL) {
		dp_config_reject(
			file_name, path, "either this or the variable without _FILE");
		return -EINVAL;
	}
	*value = read_value_file(files, file_name, path);
	return *value == NULL ? -EINVAL : 0;
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"1", "true", "yes", "on"};
	static const char *const no[] = {"0", "false", "no", "off"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*out = strcasecmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static int store_value(const struct dp_option *option, const char *value, char *field)
{
	const char *shown = option->url && strchr(value, '@') != NULL ? "(hidden)" : value;
	const char *allowed = NULL;
	char range[80];
	int64_t number;
	bool flag;
	switch (option->type) {
	case DP_STRING:
		if (option->check != NULL)
			allowed = option->check(value);
		if (allowed == NULL)
			memcpy(field, &value, sizeof(value));
		break;
	case DP_INT:
		if (dp_parse_i64(value, option->min, option->max, &number) == 0) {
			memcpy(field, &number, sizeof(number));
			break;
		}
		snprintf(range, sizeof(range),
			"a whole number from %" PRId64 " to %" PRId64, option->min,
			option->max);
		allowed = range;
		break;
	case DP_BOOL:
		if (parse_bool(value, &flag))
			memcpy(field, &flag, sizeof(flag));
		else
			allowed = "0, 1, true, false, yes, no, on, off";
		break;
	}
	if (allowed == NULL)
		return 0;
	dp_config_reject(option->name, shown, allowed);
	return -EINVAL;
}

static int load_option(
	const struct dp_option *option, struct dp_config_files *files, char *field)
{
	const char *value;
	int err = find_value(option, files, &value);
	if (err != 0)
		return err;
	if (value == NULL)
		value = option->fallback;
	if (value != NULL)
		return store_value(option, value, field);
	if (!option->required)
		return 0;
	dp_config_reject(option->name, "", option->help);
	return -EINVAL;
}

static bool known(const struct dp_config_table *table, const char *name, size_t len)
{
	for (size_t i = 0; i < table->n; i++) {
		const char *option = table->options[i].name;
		size_t n = strlen(option);
		if (strncmp(name, option, n) == 0 &&
			(len == n || (len == n + 5 && strncmp(name + n, "_FILE", 5) == 0)))
			return true;
		if (table->options[i].family && len > n + 1 &&
			strncmp(name, option, n) == 0 && name[n] == '_')
			return true;
	}
	return false;
}

/* What stands behind the name, unless it may be a URL with a password. */
static const char *shown(const char *rest)
{
	if (strchr(rest, '@') != NULL)
		return "(hidden)";
	return *rest == '=' ? rest + 1 : "";
}

/*
 * The environment holds other people's variables, so an unknown name is only an
 * error when it is all but one of ours: PERIOD_SM would otherwise be ignored.
 */
static int find_misspelt(const struct dp_config_table *table)
{
	int err = 0;
	for (char **entry = environ; *entry != NULL; entry++) {
		size_t len = strcspn(*entry, "=");
		char name[32];
		if (len >= sizeof(name) || len < 5 || known(table, *entry, len))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len, *entry);
		for (size_t i = 0; i < table->n; i++) {
			const char *option = table->options[i].name;
			if (dp_nearest_distance(name, option) >
				(strlen(option) < 8 ? 1u : 2u))
				continue;
			dp_log(DP_LOG_ERROR, "bad setting",
				"name=%s value=\"%s\" allowed=\"no such setting; did you "
				"mean %s?\"",
				name, shown(*entry + len), option);
			err = -EINVAL;
			break;
		}
	}
	return err;
}

int dp_config_load(
	const struct dp_config_table *table, void *config, struct dp_config_files *files)
{
	int err = find_misspelt(table);
	for (size_t i = 0; i < table->n; i++) {
		const struct dp_option *option = &table->options[i];
		if (load_option(option, files, (char *)config + option->offset) != 0)
			err = -EINVAL;
	}
	return err;
}

void dp_config_print(const struct dp_config_table *table)
{
	printf("Settings (environment variables; NAME_FILE reads NAME from a file):\n");
	for (size_t i = 0; i < table->n; i++) {
		const struct dp_option *option = &table->options[i];
		printf("  %-20s %s", option->name, option->help);
		if (option->type == DP_INT)
			printf(" (%" PRId64 " to %" PRId64 ")", option->min, option->max);
		if (option->required)
			printf(" [required]");
		else if (option->fallback != NULL)
			printf(" [default: %s]", option->fallback);
		printf("\n");
	}
}
