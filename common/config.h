/*
 * Settings: one table per service, read from the environment once at start.
 * For each NAME, NAME_FILE names a file that holds the value (for secrets).
 */
#ifndef DP_CONFIG_H
#define DP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_CONFIG_FILES 16 /**< NAME_FILEs at most */
#define DP_EX_CONFIG 78	   /**< exit code of a bad setting: EX_CONFIG of sysexits.h */

enum dp_option_type {
	DP_STRING, /**< const char *, never NULL once loaded unless it has no default */
	DP_INT,	   /**< int64_t within [min, max] */
	DP_BOOL,   /**< bool: 0, 1, true, false, yes, no, on, off */
};

struct dp_option {
	const char *name; /**< of the environment variable */
	enum dp_option_type type;
	size_t offset;	      /**< of the field in the service's config struct */
	const char *fallback; /**< default as text, NULL when there is none */
	int64_t min, max;     /**< of a DP_INT */
	bool required;
	bool family; /**< NAME_<anything> are settings too, which the service reads itself
		      */
	bool url;    /**< may hold a password: not printed when it has an @ */
	/** Of a DP_STRING: what is allowed when the value is not, else NULL. */
	const char *(*check)(const char *value);
	const char *help; /**< one line */
};

/** A table and the struct it fills. */
struct dp_config_table {
	const struct dp_option *options;
	size_t n;
};

/** What NAME_FILEs were read into; all zero at first. */
struct dp_config_files {
	char *texts[DP_CONFIG_FILES];
	size_t n;
};

/** Free it; strings of the config struct may point there. */
void dp_config_files_finish(struct dp_config_files *files);

/**
 * Fill `config` from the environment. A variable that is set to nothing counts as
 * not set. Strings live as long as the environment and `files`.
 * Logs one line per bad setting: its name, its value, what is allowed.
 * @return 0; -EINVAL a setting is bad, missing or misspelt
 */
int dp_config_load(
	const struct dp_config_table *table, void *config, struct dp_config_files *files);

/** Whether a setting is given, itself or as NAME_FILE: else it has its default. */
bool dp_config_given(const char *name);

/** Print the table for --help on stdout. */
void dp_config_print(const struct dp_config_table *table);

/** Log that a setting is bad, for what only the service itself can check. */
void dp_config_reject(const char *name, const char *value, const char *allowed);

/* Checks that several tables use. */
const char *dp_check_mqtt_url(const char *value);
const char *dp_check_name(const char *value);
const char *dp_check_topic_prefix(const char *value);
const char *dp_check_log_level(const char *value);
const char *dp_check_clock_trust(const char *value);
const char *dp_check_duration(const char *value); /* as dp_parse_duration_ms() */

#endif
