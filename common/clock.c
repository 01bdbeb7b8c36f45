#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static const char *const mark_names[] = {
	[DP_CLOCK_UNSYNCED] = "unsynced",
	[DP_CLOCK_GUESSED] = "guessed",
	[DP_CLOCK_NONE] = "none",
};

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

enum dp_clock_mark dp_clock_mark(
	const struct dp_clock *clock, enum dp_clock_trust trust, int64_t earliest_s)
{
	/* Times below 2^28 s (1978) mean "relative" in SenML: none can be sent. */
	if (trust == DP_CLOCK_TRUST_ALWAYS &&
		clock->wall_us(clock->data) >= (int64_t)1000000 << 28)
		return DP_CLOCK_SYNCED;
	if (clock->wall_us(clock->data) < earliest_s * 1000000)
		return DP_CLOCK_NONE;
	if (clock->synchronised(clock->data))
		return DP_CLOCK_SYNCED;
	return trust == DP_CLOCK_TRUST_KERNEL ? DP_CLOCK_NONE : DP_CLOCK_UNSYNCED;
}

const char *dp_clock_mark_name(enum dp_clock_mark mark)
{
	return mark_names[mark];
}

int dp_clock_parse_mark(const char *name, enum dp_clock_mark *mark)
{
	for (unsigned i = DP_CLOCK_UNSYNCED; i <= DP_CLOCK_NONE; i++) {
		if (strcmp(name, mark_names[i]) == 0) {
			*mark = (enum dp_clock_mark)i;
			return 0;
		}
	}
	return -EINVAL;
}
