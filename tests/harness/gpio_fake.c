/*
 * GPIO for tests, linked in place of libgpiod. GPIO_FAKE names a folder; a chip is a folder
 * in it, a line a folder in that:
 *
 *   GPIO_FAKE/<label>/lines               how many lines
 *   GPIO_FAKE/<label>/<line>/level        of an input: 0 or 1, read when asked
 *   GPIO_FAKE/<label>/<line>/edges        a FIFO: each `r` or `f` written to it is an edge,
 *                                         each `.` one that the kernel had to drop
 *   GPIO_FAKE/<label>/<line>/trace        a capture: one transaction is played after each
 *                                         change from output to input
 *   GPIO_FAKE/<label>/<line>/value        of an output: written here, read back from here
 *   GPIO_FAKE/<label>/<line>/driven       every level that it was ever driven to, in order
 *   GPIO_FAKE/<label>/<line>/stuck        the output cannot be changed: it stays as it is
 *   GPIO_FAKE/<label>/<line>/consumer     who else uses the line
 *
 * A chip whose folder is gone has vanished.
 */
#include "sampler/gpio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sampler/trace.h"

#define EDGES_MAX 256

struct gpio_line {
	char folder[PATH_MAX], chip[PATH_MAX];
	struct gpio_mode modes[GPIO_MODES_MAX];
	size_t mode;
	int fifo;
	uint32_t seqno;
	struct trace trace;
	size_t at; /* for trace_next() */
	int64_t played_ns[EDGES_MAX];
	size_t n_played;
};

static const char *root(void)
{
	const char *folder = getenv("GPIO_FAKE");
	return folder != NULL ? folder : "/nonexistent";
}

/* The content of a file, cut to size. @return its length, or a negative errno */
static ssize_t read_file(const char *folder, const char *name, char *text, size_t size)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n, len = 0;
	while ((n = read(fd, text + len, size - 1 - (size_t)len)) > 0)
		len += n;
	close(fd);
	text[len] = '\0';
	return n < 0 ? -EIO : len;
}

static bool exists(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0;
}

static void folders(const struct gpio_place *place, char *chip, char *line)
{
	snprintf(chip, PATH_MAX, "%s/%s", root(), place->chip);
	snprintf(line, PATH_MAX, "%.4000s/%u", chip, place->line);
}

/* ---- looking ---- */

size_t gpio_list(void (*each)(void *data, const struct gpio_chip *chip), void *data)
{
	size_t n = 0;
	struct dirent *entry;
	DIR *chips = opendir(root());
	while (chips != NULL && (entry = readdir(chips)) != NULL) {
		char folder[PATH_MAX], text[32];
		if (entry->d_name[0] == '.')
			continue;
		struct gpio_chip chip = {.lines = 64};
		snprintf(folder, sizeof(folder), "%s/%s", root(), entry->d_name);
		snprintf(chip.label, sizeof(chip.label), "%.31s", entry->d_name);
		snprintf(chip.path, sizeof(chip.path), "/dev/gpiochip%zu", n++);
		if (read_file(folder, "lines", text, sizeof(text)) > 0)
			chip.lines = (unsigned)strtoul(text, NULL, 10);
		each(data, &chip);
	}
	if (chips != NULL)
		closedir(chips);
	return n;
}

int gpio_look(const struct gpio_place *place, struct gpio_look *out)
{
	char chip[PATH_MAX], line[PATH_MAX];
	folders(place, chip, line);
	*out = (struct gpio_look){.used = false};
	if (!exists(chip))
		return -ENODEV;
	if (!exists(line))
		return -ENXIO;
	out->used = read_file(line, "consumer", out->consumer, sizeof(out->consumer)) > 0;
	return 0;
}

/* ---- lines ---- */

static void load_trace(struct gpio_line *line)
{
	static char text[1 << 20];
	char why[TRACE_WHY_MAX];
	ssize_t len = read_file(line->folder, "trace", text, sizeof(text));
	if (len > 0 && trace_parse(text, (size_t)len, &line->trace, why) != 0) {
		fprintf(stderr, "gpio_fake: %s/trace: %s\n", line->folder, why);
		abort();
	}
}

int gpio_open(struct gpio_line **out, const struct gpio_place *place, const char *consumer,
	const struct gpio_mode *modes, size_t n_modes)
{
	struct gpio_look look;
	(void)consumer;
	*out = NULL;
	int err = gpio_look(place, &look);
	if (err != 0 || look.used)
		return err != 0 ? err : -EBUSY;
	struct gpio_line *line = calloc(1, sizeof(*line));
	if (line == NULL)
		return -ENOMEM;
	char path[PATH_MAX + 16];
	folders(place, line->chip, line->folder);
	memcpy(line->modes, modes, n_modes * sizeof(*modes));
	snprintf(path, sizeof(path), "%s/edges", line->folder);
	line->fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	load_trace(line);
	*out = line;
	return modes[0].output ? gpio_set(line, modes[0].value) : 0;
}

void gpio_close(struct gpio_line *line)
{
	if (line == NULL)
		return;
	if (line->fifo >= 0)
		close(line->fifo);
	trace_finish(&line->trace);
	free(line);
}

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The falls of the next transaction, as if the release were now. */
static void play(struct gpio_line *line)
{
	struct trace_transaction transaction;
	line->n_played = 0;
	if (line->trace.count == 0)
		return;
	if (!trace_next(&line->trace, &line->at, &transaction)) {
		line->at = 0;
		if (!trace_next(&line->trace, &line->at, &transaction))
			return;
	}
	int64_t release = transaction.release_ns, now = now_ns();
	if (release == DHT_RELEASE_UNKNOWN)
		release = line->trace.t_ns[transaction.first];
	for (size_t k = transaction.first; k < transaction.end; k++) {
		bool high = (line->trace.first_level ^ (int)(k & 1)) != 0;
		if (!high && line->n_played < EDGES_MAX)
			line->played_ns[line->n_played++] =
				now + line->trace.t_ns[k] - release;
	}
}

int gpio_change(struct gpio_line *line, size_t mode)
{
	bool released = line->modes[line->mode].output && !line->modes[mode].output;
	if (!exists(line->chip))
		return -ENODEV;
	line->mode = mode;
	if (released)
		play(line);
	return line->modes[mode].output ? gpio_set(line, line->modes[mode].value) : 0;
}

int gpio_fd(const struct gpio_line *line)
{
	return line->fifo;
}

int gpio_edges(struct gpio_line *line, struct gpio_edge *edges, size_t max)
{
	char bytes[EDGES_MAX];
	size_t n = 0;
	if (!exists(line->chip))
		return -ENODEV;
	for (; n < line->n_played && n < max; n++)
		edges[n] = (struct gpio_edge){
			.ts_ns = line->played_ns[n], .seqno = ++line->seqno};
	line->n_played = 0;
	size_t room = max - n < sizeof(bytes) ? max - n : sizeof(bytes);
	ssize_t got = line->fifo >= 0 && room > 0 ? read(line->fifo, bytes, room) : 0;
	for (ssize_t i = 0; i < got; i++) {
		if (bytes[i] == '.') {
			line->seqno++;
			continue;
		}
		bool rising = (bytes[i] == 'r') != line->modes[line->mode].active_low;
		enum gpio_edges wanted = line->modes[line->mode].edges;
		if (wanted == GPIO_EDGES_BOTH ||
			wanted == (rising ? GPIO_EDGES_RISING : GPIO_EDGES_FALLING))
			edges[n++] = (struct gpio_edge){.ts_ns = now_ns(),
				.rising = rising,
				.seqno = ++line->seqno};
	}
	return (int)n;
}

int gpio_value(struct gpio_line *line)
{
	const struct gpio_mode *mode = &line->modes[line->mode];
	char text[16] = "";
	if (!exists(line->chip))
		return -ENODEV;
	ssize_t n = read_file(line->folder, mode->output || mode->as_is ? "value" : "level",
		text, sizeof(text));
	bool high = n > 0 && text[0] == '1';
	return high != mode->active_low;
}

/* @return 0 or a negative errno */
static int write_level(
	const struct gpio_line *line, const char *name, int flags, char level)
{
	char path[PATH_MAX + 16];
	snprintf(path, sizeof(path), "%s/%s", line->folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, &level, 1);
	close(fd);
	return n == 1 ? 0 : -EIO;
}

int gpio_set(struct gpio_line *line, bool value)
{
	char path[PATH_MAX + 16];
	char level = value != line->modes[line->mode].active_low ? '1' : '0';
	if (!exists(line->chip))
		return -ENODEV;
	snprintf(path, sizeof(path), "%s/stuck", line->folder);
	if (exists(path))
		return 0;
	int err = write_level(line, "driven", O_APPEND, level);
	return err != 0 ? err : write_level(line, "value", 0, level);
}
