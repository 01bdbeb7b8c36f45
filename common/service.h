/*
 * What every service's main does alike: arguments, settings, loop, signals,
 * health, exit. On the main thread, which is the loop's.
 */
#ifndef DP_SERVICE_H
#define DP_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "clock.h"
#include "config.h"
#include "health.h"
#include "tls_files.h"

/** The settings that every service has. First in its config struct. */
struct dp_service_config {
	const char *log_level;
	const char *run_dir;
	const char *instance;	 /**< never NULL once loaded */
	struct dp_tls_files tls; /**< its clock is the service's */
	int64_t stats_period_s;
	bool allow_insecure; /**< the central broker admits anybody, and that is wanted */
};

/** Their rows; `config` is the service's config struct, `field` the member in it. */
#define DP_SERVICE_OPTIONS(config, field)                                                  \
	{.name = "LOG_LEVEL",                                                              \
		.offset = offsetof(config, field.log_level),                               \
		.fallback = "info",                                                        \
		.check = dp_check_log_level,                                               \
		.help = "what is logged: debug, info, warn or error"},                     \
		{.name = "RUN_DIR",                                                        \
			.offset = offsetof(config, field.run_dir),                         \
			.fallback = "/run/dewpoint",                                       \
			.help = "folder of the health socket"},                            \
		{.name = "INSTANCE",                                                       \
			.offset = offsetof(config, field.instance),                        \
			.check = dp_check_name,                                            \
			.help = "tells replicas apart; the host name unless set"},         \
		{.name = "TLS_CA_FILE",                                                    \
			.offset = offsetof(config, field.tls.ca_file),                     \
			.fallback = "/etc/ssl/certs/ca-certificates.crt",                  \
			.help = "certificate authorities that mqtts:// trusts, PEM"},      \
		{.name = "TLS_CERT_FILE",                                                  \
			.offset = offsetof(config, field.tls.cert_file),                   \
			.help = "our own certificate for mqtts://, PEM, read anew for "    \
				"each connection"},                                        \
		{.name = "TLS_KEY_FILE",                                                   \
			.offset = offsetof(config, field.tls.key_file),                    \
			.help = "its private key, PEM, without a passphrase"},             \
		{.name = "STATS_PERIOD_S",                                                 \
			.type = DP_INT,                                                    \
			.offset = offsetof(config, field.stats_period_s),                  \
			.fallback = "60",                                                  \
			.min = 1,                                                          \
			.max = 86400,                                                      \
			.help = "seconds between two statistics messages"},                \
		{.name = "ALLOW_INSECURE",                                                 \
			.type = DP_BOOL,                                                   \
			.offset = offsetof(config, field.allow_insecure),                  \
			.fallback = "0",                                                   \
			.help = "1: anyone on the network may use the central broker, "    \
				"and that "                                                \
				"is wanted"}

/** What a service is, constant. */
struct dp_service_info {
	const char *name;
	const char *summary; /**< one line for --help */
	const char *usage;   /**< further arguments for --help, or NULL */
	struct dp_config_table table;
	/** What only the service can check; logs and returns non-zero. May be NULL. */
	int (*check)(const void *config);
	/** Another command line: @return exit code, or -1 when it is not one. May be NULL.
	 */
	int (*command)(int argc, char **argv);
	/** The same with the settings loaded, not yet checked by `check`. May be NULL. */
	int (*tool)(int argc, char **argv, const void *config);
};

struct dp_service {
	const struct dp_service_info *info;
	struct dp_service_config *config; /**< in the service's own config struct */
	struct dp_config_files files;
	char host[65]; /**< the host name, when it is the instance */
	struct dp_clock clock;
	uv_loop_t loop;
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t patience; /**< after the start: trims memory; stopping: ends a stop that
				hangs */
	struct dp_health health;
	void (*on_stop)(void *data);
	void *data;
	bool answers; /**< the health socket is open */
	bool stopping;
	bool safe; /**< see dp_service_safe() */
	int exit_code;
};

/**
 * Read arguments and settings, make the loop ready.
 * @param config  the service's zeroed config struct, which begins with a
 *                struct dp_service_config
 * @return -1 go on; otherwise the process's exit code (help, a check, an error)
 */
int dp_service_init(struct dp_service *service, const struct dp_service_info *info,
	void *config, int argc, char **argv);

/** How many threads the loop's work queue gets; before its first work. */
void dp_service_size_pool(unsigned threads);

/**
 * Run until SIGTERM or SIGINT, then call on_stop once and go on until every handle
 * is closed.
 * @param check  as in dp_health_start()
 * @return the process's exit code
 */
int dp_service_run(struct dp_service *service, void (*on_stop)(void *data),
	const char *(*check)(void *data), void *data);

/**
 * Drain what is being closed and close the loop, without or after a run.
 * @return exit_code
 */
int dp_service_abandon(struct dp_service *service, int exit_code);

/** Stop by itself, as on SIGTERM; the process will exit with this code. */
void dp_service_stop(struct dp_service *service, int exit_code);

/**
 * Everything that must not be lost is saved. If the stop goes on to wait for something
 * else, such as a name server, it may be cut short and still counts as clean.
 */
void dp_service_safe(struct dp_service *service);

#endif
