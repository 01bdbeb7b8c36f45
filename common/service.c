#include "service.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "log.h"
#include "random.h"
#include "timer.h"
#include "topic.h"
#include "trim.h"
#include "url.h"
#include "version.h"

#define STOP_PATIENCE_MS 1500
#define TRIM_AFTER_MS 3000

static void print_help(const struct dp_service_info *info)
{
	printf("%s: %s\n\n"
	       "Usage: %s [--help | --version | --check-config | --healthcheck]\n",
		info->name, info->summary, info->name);
	if (info->usage != NULL)
		printf("%s", info->usage);
	printf("\n");
	dp_config_print(&info->table);
	printf("\nExit codes: 0 stopped as asked, 1 failed, %d a setting is bad\n",
		DP_EX_CONFIG);
}

static long random_suffix(void)
{
	uint32_t bits;
	dp_random(&bits, sizeof(bits));
	return (long)bits;
}

/* A host name that is no valid name is replaced: replicas only need different ones. */
static void name_instance(struct dp_service *service)
{
	if (gethostname(service->host, sizeof(service->host) - 1) != 0 ||
		!dp_name_valid(service->host, strlen(service->host)))
		snprintf(service->host, sizeof(service->host), "unnamed-%ld",
			random_suffix());
	service->config->instance = service->host;
}

/* What the command line asks for, once the settings are loaded. */
enum request { REQUEST_RUN, REQUEST_CHECK, REQUEST_HEALTH, REQUEST_TOOL };

static int unknown_arguments(char **argv)
{
	dp_log(DP_LOG_ERROR, "unknown arguments; --help lists what there is",
		"argument=\"%s\"", argv[1]);
	return DP_EX_CONFIG;
}

static int parse_arguments(
	const struct dp_service_info *info, int argc, char **argv, enum request *request)
{
	*request = REQUEST_RUN;
	if (argc == 1)
		return -1;
	if (info->command != NULL) {
		int code = info->command(argc, argv);
		if (code >= 0)
			return code;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		print_help(info);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("%s %s\n", info->name, dp_version);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--check-config") == 0)
		*request = REQUEST_CHECK;
	else if (argc == 2 && strcmp(argv[1], "--healthcheck") == 0)
		*request = REQUEST_HEALTH;
	else if (info->tool != NULL)
		*request = REQUEST_TOOL;
	else
		return unknown_arguments(argv);
	return -1;
}

/* Whether one of the addresses is mqtts://, for which the files of TLS are. */
static bool speaks_tls(const struct dp_service_info *info, const void *config)
{
	for (size_t i = 0; i < info->table.n; i++) {
		const struct dp_option *option = &info->table.options[i];
		struct dp_mqtt_url url;
		const char *text, *why;
		if (option->check != dp_check_mqtt_url)
			continue;
		memcpy(&text, (const char *)config + option->offset, sizeof(text));
		if (text != NULL && dp_mqtt_url_parse(text, &url, &why) == 0 && url.tls)
			return true;
	}
	return false;
}

/* A certain mistake ends the start. A possible one is logged, and the broker decides. */
static int check_tls_files(const struct dp_tls_files *files)
{
	struct dp_tls_report report;
	SSL_CTX *context = dp_tls_files_load(files, &report);
	int err = context != NULL ? 0 : -EINVAL;
	SSL_CTX_free(context);
	for (unsigned i = 0; i < report.n_doubts; i++)
		dp_log(DP_LOG_WARN, "this may be wrong",
			"name=%s value=\"%s\" reason=\"%s\"", report.doubts[i].setting,
			report.doubts[i].path, report.doubts[i].words);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "bad setting", "name=%s value=\"%s\" reason=\"%s\"",
			report.wrong.setting, report.wrong.path, report.wrong.words);
	return err;
}

static int check_tls(struct dp_service *service, const void *config)
{
	const struct dp_tls_files *files = &service->config->tls;
	if ((files->cert_file == NULL) != (files->key_file == NULL)) {
		dp_config_reject(
			files->cert_file == NULL ? "TLS_CERT_FILE" : "TLS_KEY_FILE", "",
			"a file, as the other of certificate and key is set: both or "
			"neither");
		return -EINVAL;
	}
	if (speaks_tls(service->info, config))
		return check_tls_files(files);
	if (files->cert_file != NULL)
		dp_log(DP_LOG_WARN, "no address begins with mqtts://: nothing is encrypted",
			"name=TLS_CERT_FILE value=\"%s\"", files->cert_file);
	return 0;
}

static int check_settings(struct dp_service *service, void *config, enum request request)
{
	const struct dp_service_info *info = service->info;
	char path[108];
	if (service->config->instance == NULL)
		name_instance(service);
	if (dp_health_path(path, service->config->run_dir, info->name,
		    service->config->instance) != 0) {
		dp_config_reject("RUN_DIR", service->config->run_dir, "a shorter path");
		return DP_EX_CONFIG;
	}
	if (request == REQUEST_HEALTH)
		return dp_health_ask(path);
	if (info->check != NULL && info->check(config) != 0)
		return DP_EX_CONFIG;
	if (check_tls(service, config) != 0)
		return DP_EX_CONFIG;
	if (request == REQUEST_RUN)
		return -1;
	printf("%s: the settings are good\n", info->name);
	return EXIT_SUCCESS;
}

static int use_settings(struct dp_service *service, void *config, int argc, char **argv,
	enum request request)
{
	const struct dp_service_info *info = service->info;
	if (dp_config_load(&info->table, config, &service->files) != 0)
		return DP_EX_CONFIG;
	if (request != REQUEST_TOOL)
		return check_settings(service, config, request);
	int code = info->tool(argc, argv, config);
	return code >= 0 ? code : unknown_arguments(argv);
}

int dp_service_init(struct dp_service *service, const struct dp_service_info *info,
	void *config, int argc, char **argv)
{
	enum request request;
	*service = (struct dp_service){.info = info, .config = config};
	dp_clock_system(&service->clock);
	service->config->tls.clock = &service->clock;
	dp_log_init(info->name, DP_LOG_INFO);
	int code = parse_arguments(info, argc, argv, &request);
	if (code < 0)
		code = use_settings(service, config, argc, argv, request);
	if (code >= 0) {
		dp_config_files_finish(&service->files);
		return code;
	}

	enum dp_log_level level = DP_LOG_INFO;
	dp_log_parse_level(service->config->log_level, &level);
	dp_log_init(info->name, level);
	/* Images start /service, a link; top and ps should say which. */
	prctl(PR_SET_NAME, info->name);
	signal(SIGPIPE, SIG_IGN);
	int err = uv_loop_init(&service->loop);
	if (err != 0) {
		dp_log(DP_LOG_ERROR, "cannot make an event loop", "error=\"%s\"",
			uv_strerror(err));
		dp_config_files_finish(&service->files);
		return EXIT_FAILURE;
	}
	return -1;
}

static void out_of_patience(uv_timer_t *timer)
{
	struct dp_service *service = timer->data;
	dp_log(service->safe ? DP_LOG_INFO : DP_LOG_ERROR, "stopped without waiting longer",
		"saved=%s", service->safe ? "yes" : "no");
	_exit(service->safe ? service->exit_code : EXIT_FAILURE);
}

void dp_service_size_pool(unsigned threads)
{
	char size[16];
	snprintf(size, sizeof(size), "%u", threads);
	int err = uv_os_setenv("UV_THREADPOOL_SIZE", size);
	if (err != 0)
		dp_log(DP_LOG_WARN, "the thread pool may be too small", "error=\"%s\"",
			uv_strerror(err));
}

void dp_service_stop(struct dp_service *service, int exit_code)
{
	if (service->stopping)
		return;
	service->stopping = true;
	service->exit_code = exit_code;
	uv_close((uv_handle_t *)&service->sigterm, NULL);
	uv_close((uv_handle_t *)&service->sigint, NULL);
	uv_close((uv_handle_t *)&service->sighup, NULL);
	if (service->answers)
		dp_health_stop(&service->health);
	timer_start(&service->patience, out_of_patience, STOP_PATIENCE_MS);
	service->on_stop(service->data);
}

static void on_started(uv_timer_t *timer)
{
	(void)timer;
	dp_trim();
}

void dp_service_safe(struct dp_service *service)
{
	service->safe = true;
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct dp_service *service = signal->data;
	if (number == SIGHUP) {
		dp_log(DP_LOG_INFO, "SIGHUP: settings are read at start only", NULL);
		return;
	}
	dp_log(DP_LOG_INFO, "stopping", "signal=%s", number == SIGTERM ? "TERM" : "INT");
	dp_service_stop(service, EXIT_SUCCESS);
}

static void watch_signal(struct dp_service *service, uv_signal_t *handle, int number)
{
	uv_signal_init(&service->loop, handle);
	handle->data = service;
	uv_signal_start(handle, on_signal, number);
	uv_unref((uv_handle_t *)handle);
}

static void warn_if_insecure(const struct dp_service *service)
{
	if (service->config->allow_insecure)
		dp_log(DP_LOG_WARN,
			"ALLOW_INSECURE is set: anyone on the network may publish as any "
			"node, and switch outputs; `make provision` gives each its own "
			"identity, after which it is not needed",
			NULL);
}

int dp_service_run(struct dp_service *service, void (*on_stop)(void *data),
	const char *(*check)(void *data), void *data)
{
	char path[108];
	service->on_stop = on_stop;
	service->data = data;
	watch_signal(service, &service->sigterm, SIGTERM);
	watch_signal(service, &service->sigint, SIGINT);
	watch_signal(service, &service->sighup, SIGHUP);
	timer_init(&service->loop, &service->patience, service);
	uv_unref((uv_handle_t *)&service->patience);
	timer_start(&service->patience, on_started, TRIM_AFTER_MS);
	dp_health_path(path, service->config->run_dir, service->info->name,
		service->config->instance);
	int err = dp_health_start(&service->health, &service->loop, path, check, data);
	service->answers = err == 0;
	if (err != 0) {
		dp_log(DP_LOG_ERROR,
			"cannot open the health socket: RUN_DIR must be writable",
			"path=%s error=\"%s\"", path, uv_strerror(err));
		dp_service_stop(service, EXIT_FAILURE);
	} else {
		dp_log(DP_LOG_INFO, "started", "version=%s instance=%s", dp_version,
			service->config->instance);
		warn_if_insecure(service);
	}
	uv_run(&service->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&service->patience, NULL);
	dp_service_abandon(service, service->exit_code);
	dp_log(DP_LOG_INFO, "stopped", "exit=%d", service->exit_code);
	return service->exit_code;
}

int dp_service_abandon(struct dp_service *service, int exit_code)
{
	uv_run(&service->loop, UV_RUN_DEFAULT);
	int err = uv_loop_close(&service->loop);
	assert(err == 0);
	(void)err;
	dp_config_files_finish(&service->files);
	return exit_code;
}
