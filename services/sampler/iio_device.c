#include "iio_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "number.h"
#include "topic.h"

/* The kernel's unit of a kind of channel times `factor` is SenML's. */
static const struct kind {
	const char *channel, *quantity, *unit;
	double factor;
} kinds[] = {
	{"temp", "temperature", "Cel", 1e-3},
	{"humidityrelative", "humidity", "%RH", 1e-3},
	{"pressure", "pressure", "Pa", 1e3},
	{"illuminance", "illuminance", "lx", 1},
	{"voltage", "voltage", "V", 1e-3},
	{"current", "current", "A", 1e-3},
	{"power", "power", "W", 1e-3},
	{"resistance", "resistance", "Ohm", 1},
	{"distance", "distance", "m", 1},
	{"concentration", "concentration", "%", 1},
};

/* ---- attributes ---- */

/* One line of a file below `path`, without its end. @return 0 or a negative errno */
static int read_text(const char *path, const char *name, char *text, size_t size)
{
	char file[IIO_PATH_SIZE + 80];
	int n = snprintf(file, sizeof(file), "%s/%s", path, name);
	if (n < 0 || (size_t)n >= sizeof(file))
		return -ENAMETOOLONG;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t len = read(fd, text, size - 1);
	int err = len < 0 ? -errno : 0;
	close(fd);
	if (err != 0)
		return err;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/* in_<channel>_<attribute>, or of the whole kind: in_temp_scale of in_temp0_raw. */
static int read_number(const char *path, const char *channel, const char *kind,
	const char *attribute, double *out)
{
	char name[80], text[48];
	snprintf(name, sizeof(name), "in_%s_%s", channel, attribute);
	int err = read_text(path, name, text, sizeof(text));
	if (err == -ENOENT) {
		snprintf(name, sizeof(name), "in_%s_%s", kind, attribute);
		err = read_text(path, name, text, sizeof(text));
	}
	if (err != 0)
		return err;
	return dp_parse_double(text, out) == 0 ? 0 : -EIO;
}

/* ---- channels ---- */

/*
 * Take in_<channel>_raw or in_<channel>_input apart: temp, voltage3, concentration_co2.
 * @return its kind, or NULL when it is none of ours
 */
static const struct kind *kind_of(const char *file, char channel[IIO_NAME_SIZE])
{
	const char *end = strrchr(file, '_');
	if (strncmp(file, "in_", 3) != 0 || end <= file + 3 ||
		(strcmp(end, "_raw") != 0 && strcmp(end, "_input") != 0))
		return NULL;
	size_t len = (size_t)(end - file) - 3;
	if (len >= IIO_NAME_SIZE)
		return NULL;
	memcpy(channel, file + 3, len);
	channel[len] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].channel);
		/* A number or a modifier may follow; `voltage0-voltage1` is a difference.
		 */
		if (strncmp(channel, kinds[i].channel, n) == 0 &&
			(channel[n] == '\0' || channel[n] == '_' ||
				(channel[n] >= '0' && channel[n] <= '9')) &&
			strchr(channel, '-') == NULL)
			return &kinds[i];
	}
	return NULL;
}

static int read_channel(
	const char *path, const char *channel, const struct kind *kind, double *out)
{
	double raw, scale = 1, offset = 0;
	int err = read_number(path, channel, channel, "input", out);
	if (err == 0)
		*out *= kind->factor;
	if (err != -ENOENT)
		return err;
	err = read_number(path, channel, channel, "raw", &raw);
	if (err != 0)
		return err;
	err = read_number(path, channel, kind->channel, "scale", &scale);
	if (err == 0 || err == -ENOENT)
		err = read_number(path, channel, kind->channel, "offset", &offset);
	*out = (raw + offset) * scale * kind->factor;
	return err == -ENOENT ? 0 : err;
}

static int by_name(const void *a, const void *b)
{
	const struct iio_value *x = a, *y = b;
	return strcmp(x->quantity, y->quantity);
}

static const struct iio_value *find_value(const struct iio_values *values, const char *name)
{
	for (unsigned i = 0; i < values->n; i++) {
		if (strcmp(values->at[i].quantity, name) == 0)
			return &values->at[i];
	}
	return NULL;
}

/* A file of the folder; most say nothing. @return 0 or a negative errno */
static int take_file(const char *path, const char *file, struct iio_values *out)
{
	struct iio_value value;
	char channel[IIO_NAME_SIZE];
	const struct kind *kind = kind_of(file, channel);
	if (kind == NULL)
		return 0;
	value.unit = kind->unit;
	int n = snprintf(value.quantity, sizeof(value.quantity), "%s%s", kind->quantity,
		channel + strlen(kind->channel));
	/* A channel with both raw and input is one value. */
	if (n < 0 || (size_t)n >= sizeof(value.quantity) ||
		find_value(out, value.quantity) != NULL || out->n == DP_READING_VALUES)
		return 0;
	int err = read_channel(path, channel, kind, &value.value);
	if (err == 0)
		out->at[out->n++] = value;
	return err;
}

int iio_read(const char *path, struct iio_values *out)
{
	int err = 0;
	struct dirent *entry;
	out->n = 0;
	DIR *folder = opendir(path);
	if (folder == NULL)
		return errno == ENOENT ? -ENODEV : -errno;
	while (err == 0 && (entry = readdir(folder)) != NULL)
		err = take_file(path, entry->d_name, out);
	closedir(folder);
	/* The device went while it was read. */
	if (err == -ENOENT)
		err = -ENODEV;
	if (err == 0 && out->n == 0)
		err = access(path, F_OK) == 0 ? -ENODATA : -ENODEV;
	qsort(out->at, out->n, sizeof(out->at[0]), by_name);
	return err;
}

int iio_find(const char *where, const char *root, char path[IIO_PATH_SIZE])
{
	char name[80];
	struct dirent *entry;
	if (where[0] == '/') {
		int n = snprintf(path, IIO_PATH_SIZE, "%s", where);
		return n >= IIO_PATH_SIZE	  ? -ENAMETOOLONG
		       : access(where, F_OK) == 0 ? 0
						  : -ENODEV;
	}
	DIR *devices = opendir(root);
	int err = -ENODEV;
	while (err != 0 && devices != NULL && (entry = readdir(devices)) != NULL) {
		int n = snprintf(path, IIO_PATH_SIZE, "%s/%s", root, entry->d_name);
		if (n < IIO_PATH_SIZE && read_text(path, "name", name, sizeof(name)) == 0 &&
			strcmp(name, where) == 0)
			err = 0;
	}
	if (devices != NULL)
		closedir(devices);
	return err;
}
