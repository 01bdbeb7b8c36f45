/*
 * The first and only program of the guest: gets the kernel ready, runs the scenarios one
 * after the other and switches the machine off.
 *
 *   init virtual|host [NAME...]     those of the boot in virtual time, or of the other
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "node.h"
#include "rig.h"
#include "sim.h"

#define MODULES "/lib/modules/rig"
#define DEADLINE_NS (INT64_C(400) * 1000000000)
#define LOOK_AGAIN_NS 100000000

static const char *scenario_name = "the guest's start";
static char folder[32];
static int passed, failed, number;

/* ---- what scenarios call ---- */

void rig_fail(const char *format, ...)
{
	va_list args;
	printf("FAIL %s: ", scenario_name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	node_show_logs();
	fflush(stdout);
	_exit(1);
}

void rig_note(const char *format, ...)
{
	va_list args;
	printf("     ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

int64_t rig_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rig_deadline_ns(void)
{
	return rig_now_ns() + DEADLINE_NS;
}

void rig_look_again(void)
{
	static const struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};
	nanosleep(&pause, NULL);
}

void rig_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;
	expect(n == (ssize_t)strlen(text), "cannot write %s to %s: %s", text, path,
		strerror(errno));
	close(fd);
}

unsigned rig_read(const char *path, char *text, unsigned size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, len = 0;
	while (fd >= 0 && (n = read(fd, text + len, size - 1 - (size_t)len)) > 0)
		len += n;
	if (fd >= 0)
		close(fd);
	text[len] = '\0';
	return (unsigned)len;
}

char *rig_read_all(const char *path)
{
	struct stat status = {.st_size = 0};
	unsigned size = stat(path, &status) == 0 ? (unsigned)status.st_size + 1 : 1;
	char *text = malloc(size);
	expect(text != NULL, "out of memory for %s", path);
	rig_read(path, text, size);
	return text;
}

const char *rig_folder(void)
{
	return folder;
}

/* ---- the kernel ---- */

static void load_modules(void)
{
	struct dirent **names = NULL;
	int n = scandir(MODULES, &names, NULL, alphasort);
	expect(n > 2, "no module in " MODULES);
	for (int i = 0; i < n; i++) {
		char path[300];
		snprintf(path, sizeof(path), MODULES "/%s", names[i]->d_name);
		int fd = names[i]->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
		expect(fd < 0 || syscall(SYS_finit_module, fd, "", 0) == 0,
			"cannot load %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		free(names[i]);
	}
	free(names);
}

static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0755);
	expect(mount(type, path, type, 0, NULL) == 0, "cannot mount %s: %s", path,
		strerror(errno));
}

static void raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	expect(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "no loopback: %s", strerror(errno));
	close(fd);
}

static void get_ready(void)
{
	mount_at("devtmpfs", "/dev");
	int console = open("/dev/console", O_RDWR);
	expect(console >= 0, "no console");
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		dup2(console, fd);
	struct termios settings;
	tcgetattr(console, &settings);
	settings.c_oflag &= ~(tcflag_t)OPOST; /* no carriage returns */
	tcsetattr(console, TCSANOW, &settings);
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	load_modules();
	mount_at("configfs", "/sys/kernel/config");
	raise_loopback();
}

/* ---- the scenarios ---- */

static void end_everything(void)
{
	kill(-1, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	sim_remove_all();
}

static void run(const struct scenario *scenario)
{
	int status = 0;
	scenario_name = scenario->name;
	snprintf(folder, sizeof(folder), "/tmp/%d", ++number);
	mkdir(folder, 0777);
	chmod(folder, 0777);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		scenario->run(scenario->data);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end_everything();
	if (WIFSIGNALED(status))
		printf("FAIL %s: ended by signal %d\n", scenario->name, WTERMSIG(status));
	else if (status == 0)
		printf("ok   %s\n", scenario->name);
	passed += status == 0;
	failed += status != 0;
}

static bool is_wanted(const struct scenario *scenario, char **names)
{
	bool wanted = *names == NULL;
	for (; *names != NULL; names++)
		wanted = wanted || strstr(scenario->name, *names) != NULL;
	return wanted;
}

static void run_all(const struct scenario *scenario, enum rig_time time, char **names)
{
	for (; scenario->name != NULL; scenario++) {
		if (scenario->time == time && is_wanted(scenario, names))
			run(scenario);
	}
}

int main(int argc, char **argv)
{
	static char *everything[] = {NULL};
	bool host = argc > 1 && strcmp(argv[1], "host") == 0;
	enum rig_time time = host ? RIG_HOST_TIME : RIG_VIRTUAL_TIME;
	char **names = argc > 2 ? argv + 2 : everything;
	get_ready();
	run_all(scenarios_captures(), time, names);
	run_all(scenarios_dht, time, names);
	run_all(scenarios_bad, time, names);
	run_all(scenarios_lines, time, names);
	printf("boot: %d passed, %d failed\n", passed, failed);
	fflush(stdout);
	rig_write("/proc/sys/kernel/printk", "0"); /* no farewell */
	reboot(RB_POWER_OFF);
	return 1;
}
