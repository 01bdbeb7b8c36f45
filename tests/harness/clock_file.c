/*
 * The kernel's clocks with what a file says added: linked in place of
 * common/clock_system.c into the services of build/<config>/clocked. CLOCK_FILE names
 * the file; a test may replace it at any time. Its one line:
 *
 *     <wall clock, us to add> <time since boot, ns to add> <synchronised: 0 or 1> <boot id>
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

struct shift {
	int64_t wall_us, boot_ns;
	int synchronised;
	char boot_id[DP_BOOT_ID_LEN + 1];
};

/* One number and the space after it; whether it was there. */
static bool number(char **text, int64_t *value)
{
	char *end;
	errno = 0;
	*value = strtoll(*text, &end, 10);
	if (errno != 0 || end == *text || *end != ' ')
		return false;
	*text = end + 1;
	return true;
}

static bool parse(char *text, struct shift *shift)
{
	int64_t synchronised;
	if (!number(&text, &shift->wall_us) || !number(&text, &shift->boot_ns) ||
		!number(&text, &synchronised))
		return false;
	shift->synchronised = (int)synchronised;
	size_t len = strcspn(text, "\n");
	if (len == 0 || len >= sizeof(shift->boot_id))
		return false;
	memcpy(shift->boot_id, text, len);
	shift->boot_id[len] = '\0';
	return true;
}

static struct shift read_file(void)
{
	struct shift shift = {.wall_us = 0};
	char text[160] = "";
	const char *path = getenv("CLOCK_FILE");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (n < 0 || !parse(text, &shift)) {
		fprintf(stderr, "CLOCK_FILE=%s cannot be read\n", path != NULL ? path : "");
		abort();
	}
	close(fd);
	return shift;
}

static int64_t wall_us(void *data)
{
	(void)data;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + read_file().wall_us;
}

static int64_t boot_ns(void *data)
{
	(void)data;
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + read_file().boot_ns;
}

static int synchronised(void *data)
{
	(void)data;
	return read_file().synchronised;
}

void dp_clock_system(struct dp_clock *clock)
{
	const struct shift shift = read_file();
	*clock = (struct dp_clock){
		.wall_us = wall_us, .boot_ns = boot_ns, .synchronised = synchronised};
	memcpy(clock->boot_id, shift.boot_id, sizeof(clock->boot_id));
}
