/* The kernel's clocks; a test may link clocks of its own in place of this file. */
#include <fcntl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

static int64_t system_wall_us(void *data)
{
	(void)data;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_boot_ns(void *data)
{
	(void)data;
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int system_synchronised(void *data)
{
	(void)data;
	struct timex status = {.modes = 0};
	return adjtimex(&status) >= 0 && (status.status & STA_UNSYNC) == 0;
}

void dp_clock_system(struct dp_clock *clock)
{
	*clock = (struct dp_clock){
		.wall_us = system_wall_us,
		.boot_ns = system_boot_ns,
		.synchronised = system_synchronised,
	};
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, clock->boot_id, DP_BOOT_ID_LEN);
	clock->boot_id[n == DP_BOOT_ID_LEN ? DP_BOOT_ID_LEN : 0] = '\0';
	close(fd);
}
