/* Which of the board files is this machine's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board.h"
#include "nearest.h"

#define BOARDS_MAX 64
#define FILE_MAX_BYTES (256 << 10)

struct names {
	char at[BOARDS_MAX][64];
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The boards of a folder, sorted. */
static void list_names(const char *folder, struct names *names)
{
	DIR *files = opendir(folder);
	const struct dirent *entry;
	names->n = 0;
	while (files != NULL && (entry = readdir(files)) != NULL) {
		size_t len = strlen(entry->d_name);
		bool json = len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
		if (!json || len - 5 >= sizeof(names->at[0]) || names->n == BOARDS_MAX ||
			strcmp(entry->d_name, "schema.json") == 0)
			continue;
		memcpy(names->at[names->n], entry->d_name, len - 5);
		names->at[names->n++][len - 5] = '\0';
	}
	if (files != NULL)
		closedir(files);
	qsort(names->at, names->n, sizeof(names->at[0]), by_text);
}

/* @return the file's text for the caller to free, or NULL with errno set */
static char *read_file(const char *path, size_t *len)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	char *text = NULL;
	if (fstat(fd, &status) == 0 && status.st_size <= FILE_MAX_BYTES)
		text = malloc((size_t)status.st_size + 1);
	ssize_t n = text != NULL ? read(fd, text, (size_t)status.st_size) : -1;
	close(fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	*len = (size_t)n;
	return text;
}

static int load(struct board **out, const char *folder, const char *id, char *why)
{
	char path[512], reason[BOARD_WHY_MAX];
	size_t len = 0;
	snprintf(path, sizeof(path), "%.400s/%s.json", folder, id);
	char *text = read_file(path, &len);
	if (text == NULL) {
		snprintf(why, BOARD_WHY_MAX, "%.160s: %.40s", path, strerror(errno));
		return -EINVAL;
	}
	int err = board_parse(out, id, text, len, reason);
	free(text);
	if (err != 0)
		snprintf(why, BOARD_WHY_MAX, "%.100s: %.140s", path,
			err == -ENOMEM ? "out of memory" : reason);
	return err;
}

static int unknown(const struct names *names, const char *name, char *why)
{
	const char *candidates[BOARDS_MAX] = {NULL};
	for (size_t i = 0; i < names->n; i++)
		candidates[i] = names->at[i];
	const char *close = dp_nearest(name, candidates, names->n);
	size_t len = (size_t)snprintf(why, BOARD_WHY_MAX, "there is no board %.40s", name);
	if (close != NULL) {
		snprintf(why + len, BOARD_WHY_MAX - len, "; did you mean %s?", close);
		return -EINVAL;
	}
	len += (size_t)snprintf(why + len, BOARD_WHY_MAX - len, ", there are:");
	for (size_t i = 0; i < names->n && len < BOARD_WHY_MAX; i++)
		len += (size_t)snprintf(
			why + len, BOARD_WHY_MAX - len, " %s", names->at[i]);
	return -EINVAL;
}

/* ---- by the machine's chips ---- */

struct chips {
	char labels[32][GPIO_NAME_SIZE];
	size_t n;
};

static void add_chip(void *data, const struct gpio_chip *chip)
{
	struct chips *chips = data;
	if (chips->n < 32)
		memcpy(chips->labels[chips->n++], chip->label, GPIO_NAME_SIZE);
}

/* Whether the chip of the board's first pin is here. */
static bool fits(const struct board *board, const struct chips *chips)
{
	size_t n;
	const struct board_pin *pins = board_pins(board, &n);
	for (size_t i = 0; i < n; i++) {
		if (pins[i].type != BOARD_GPIO)
			continue;
		for (size_t k = 0; k < chips->n; k++) {
			if (strcmp(pins[i].chip, chips->labels[k]) == 0)
				return true;
		}
		return false;
	}
	return false;
}

static int find_fitting(struct board **out, const char *folder, const struct names *names,
	const struct chips *chips, char *why)
{
	for (size_t i = 0; i < names->n; i++) {
		struct board *board;
		int err = load(&board, folder, names->at[i], why);
		if (err != 0)
			return err;
		if (!fits(board, chips)) {
			board_free(board);
		} else if (*out == NULL) {
			*out = board;
		} else {
			snprintf(why, BOARD_WHY_MAX,
				"both %s and %s have this machine's GPIO chip; set BOARD",
				board_id(*out), names->at[i]);
			board_free(board);
			board_free(*out);
			*out = NULL;
			return -EINVAL;
		}
	}
	return 0;
}

int board_choose(struct board **out, const char *folder, const char *name,
	size_t (*list)(void (*each)(void *data, const struct gpio_chip *chip), void *data),
	char *why)
{
	struct names names;
	struct chips chips = {.n = 0};
	*out = NULL;
	list_names(folder, &names);
	if (name[0] == '\0') {
		list(add_chip, &chips);
		return find_fitting(out, folder, &names, &chips, why);
	}
	for (size_t i = 0; i < names.n; i++) {
		if (strcmp(names.at[i], name) == 0)
			return load(out, folder, name, why);
	}
	return unknown(&names, name, why);
}
