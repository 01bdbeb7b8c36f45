#include "node.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"
#include "sim.h"

#define SAMPLER_USER 10001
#define BROKER_USER 1883
#define BROKER_PORT 1883
#define SETTINGS_MAX 16
#define SHOWN 3000

static int samplers;

/* ---- processes ---- */

static void become(uid_t user, const gid_t *group)
{
	for (int capability = 0; capability < 64; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	if (setgroups(group != NULL ? 1 : 0, group) != 0 ||
		setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(126);
}

/* @param log  what it writes, in the scenario's folder */
static pid_t start(const char *const argv[], const char *const env[], const char *log,
	uid_t user, const gid_t *group)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", rig_folder(), log);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pid_t pid = fork();
	expect(fd >= 0 && pid >= 0, "cannot start %s: %s", argv[0], strerror(errno));
	if (pid == 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		become(user, group);
		/* execve() promises to leave both as they are. */
		execve(argv[0], (char *const *)(uintptr_t)argv,
			(char *const *)(uintptr_t)env);
		perror(argv[0]);
		_exit(127);
	}
	close(fd);
	return pid;
}

static unsigned occurrences(const char *file, const char *text)
{
	unsigned n = 0;
	char *content = rig_read_all(file);
	for (const char *at = content; (at = strstr(at, text)) != NULL; at++)
		n++;
	free(content);
	return n;
}

void node_show_logs(void)
{
	struct dirent *entry;
	DIR *folder = opendir(rig_folder());
	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		char path[400];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", rig_folder(), entry->d_name);
		char *text = rig_read_all(path);
		size_t len = strlen(text);
		printf("--- the end of %s:\n%s", entry->d_name,
			text + (len > SHOWN ? len - SHOWN : 0));
		free(text);
	}
	if (folder != NULL)
		closedir(folder);
}

/* ---- the broker ---- */

static bool broker_listens(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(BROKER_PORT),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	expect(fd >= 0, "no socket: %s", strerror(errno));
	bool ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return ok;
}

void broker_publish(const char *topic, const char *payload)
{
	const char *const argv[] = {"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-V", "5",
		"-q", "1", "-t", topic, "-m", payload, NULL};
	const char *const env[] = {NULL};
	int status;
	pid_t pid = start(argv, env, "mosquitto_pub", BROKER_USER, NULL);
	expect(waitpid(pid, &status, 0) == pid && status == 0,
		"could not publish to %s: status %d", topic, status);
}

/* What was heard, to be freed. */
static char *heard(void)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/heard", rig_folder());
	return rig_read_all(path);
}

unsigned broker_heard(const char *topic, const char *text)
{
	size_t len = strlen(topic);
	unsigned n = 0;
	char *rest = NULL, *messages = heard();
	for (char *line = strtok_r(messages, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest))
		n += strncmp(line, topic, len) == 0 && line[len] == ' ' &&
		     strstr(line + len, text) != NULL;
	free(messages);
	return n;
}

void broker_start(void)
{
	const char *const broker[] = {
		"/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf", NULL};
	const char *const listener[] = {"/usr/bin/mosquitto_sub", "-h", "127.0.0.1", "-V",
		"5", "-q", "1", "-t", "local/#", "-F", "%t %p", NULL};
	const char *const env[] = {NULL};
	start(broker, env, "mosquitto", BROKER_USER, NULL);
	eventually(broker_listens(), "the broker");
	start(listener, env, "heard", BROKER_USER, NULL);
	/* It listens once it hears something. */
	do {
		broker_publish("local/rig", "1");
		rig_look_again();
	} while (broker_heard("local/rig", "1") == 0);
}

long sampler_counter(const char *name)
{
	char key[64];
	long value = -1;
	snprintf(key, sizeof(key), "\"%s\":", name);
	char *messages = heard(), *last = NULL;
	for (char *at = messages; (at = strstr(at, "local/stats/sampler/")) != NULL; at++)
		last = at;
	const char *found = last != NULL ? strstr(last, key) : NULL;
	if (found != NULL)
		value = strtol(found + strlen(key), NULL, 10);
	free(messages);
	return value;
}

/* ---- the sampler ---- */

static struct sampler start_sampler(const char *const settings[], const gid_t *group)
{
	static const char *const argv[] = {"/usr/bin/sampler", NULL};
	struct sampler sampler;
	char ledger[80], name[16];
	const char *env[SETTINGS_MAX + 4];
	size_t n = 0;
	samplers++;
	snprintf(name, sizeof(name), "sampler-%d", samplers);
	snprintf(sampler.log, sizeof(sampler.log), "%s/%s", rig_folder(), name);
	snprintf(sampler.ledger, sizeof(sampler.ledger), "%s/ledger-%d", rig_folder(),
		samplers);
	snprintf(ledger, sizeof(ledger), "LEDGER=%s", sampler.ledger);
	for (; settings[n] != NULL; n++) {
		expect(n < SETTINGS_MAX, "too many settings");
		env[n] = settings[n];
	}
	/* The first of a name counts. */
	env[n++] = "MQTT_URL=mqtt://127.0.0.1";
	env[n++] = "LOG_LEVEL=debug";
	env[n++] = ledger;
	env[n] = NULL;
	sampler.pid = start(argv, env, name, SAMPLER_USER, group);
	return sampler;
}

struct sampler sampler_start(const char *const settings[])
{
	const gid_t group = SIM_GROUP;
	return start_sampler(settings, &group);
}

struct sampler sampler_start_without_group(const char *const settings[])
{
	return start_sampler(settings, NULL);
}

void sampler_stop(const struct sampler *sampler)
{
	int status;
	kill(sampler->pid, SIGTERM);
	expect(waitpid(sampler->pid, &status, 0) == sampler->pid && status == 0,
		"the sampler did not stop well: status %d", status);
}

unsigned sampler_logged(const struct sampler *sampler, const char *text)
{
	return occurrences(sampler->log, text);
}

/*
 * The value of that sensor and quantity in the next line of a ledger that has one.
 * @param rest  of the ledger's text; cut apart on the way
 */
static bool next_value(char **rest, const char *sensor, const char *quantity, double *value)
{
	char name[80], key[64];
	const char *line;
	snprintf(name, sizeof(name), " %s ", sensor);
	snprintf(key, sizeof(key), " %s=", quantity);
	while ((line = strsep(rest, "\n")) != NULL) {
		const char *at = strstr(line, key);
		if (strncmp(line, "reading ", 8) != 0 || strstr(line, name) == NULL ||
			at == NULL)
			continue;
		*value = strtod(at + strlen(key), NULL);
		return true;
	}
	return false;
}

size_t sampler_values(const struct sampler *sampler, const char *sensor,
	const char *quantity, double *values, size_t max)
{
	size_t n = 0;
	double value;
	char *text = rig_read_all(sampler->ledger), *rest = text;
	for (; next_value(&rest, sensor, quantity, &value); n++) {
		if (n < max)
			values[n] = value;
	}
	free(text);
	return n;
}

double sampler_last(const struct sampler *sampler, const char *sensor, const char *quantity)
{
	double value = (double)NAN;
	char *text = rig_read_all(sampler->ledger), *rest = text;
	while (next_value(&rest, sensor, quantity, &value))
		;
	free(text);
	return value;
}

size_t sampler_count(
	const struct sampler *sampler, const char *sensor, const char *quantity)
{
	return sampler_values(sampler, sensor, quantity, NULL, 0);
}
