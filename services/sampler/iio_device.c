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

#define DECIMALS_MAX 15 /* of a double, about; beyond, a value is left as it is */

/* The kernel's unit of a kind of channel times `factor` is SenML's. */
static const struct kind {
	const char *channel, *quantity, *unit;
	double factor;
	int decimals; /* that the factor adds */
} kinds[] = {
	{"temp", "temperature", "Cel", 1e-3, 3},
	{"humidityrelative", "humidity", "%RH", 1e-3, 3},
	{"pressure", "pressure", "Pa", 1e3, -3},
	{"illuminance", "illuminance", "lx", 1, 0},
	{"voltage", "voltage", "V", 1e-3, 3},
	{"current", "current", "A", 1e-3, 3},
	{"power", "power", "W", 1e-3, 3},
	{"resistance", "resistance", "Ohm", 1, 0},
	{"distance", "distance", "m", 1, 0},
	{"concentration", "concentration", "%", 1, 0},
};

/* A number as the kernel writes it. */
struct decimal {
	double value;
	int decimals; /* behind the point */
};

/* A channel that a device has, before it is read. */
struct channel {
	const struct kind *kind;
	char name[IIO_NAME_SIZE];     /* as in in_<name>_raw */
	char quantity[IIO_NAME_SIZE]; /* as in readings */
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
	const char *attribute, struct decimal *out)
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
	const char *point = strchr(text, '.');
	out->decimals = point != NULL ? (int)strspn(point + 1, "0123456789") : 0;
	/* The kernel writes none; how many decimals such a number means is not worth it. */
	if (strpbrk(text, "eE") != NULL)
		out->decimals = DECIMALS_MAX;
	return dp_parse_double(text, &out->value) == 0 ? 0 : -EIO;
}

/* A product of decimals, without what binary fractions add behind its last one. */
static double shorten(double value, int decimals)
{
	char text[400];
	if (decimals < 0)
		decimals = 0;
	if (decimals >= DECIMALS_MAX)
		return value;
	snprintf(text, sizeof(text), "%.*f", decimals, value);
	return strtod(text, NULL);
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

static int read_channel(const char *path, const struct channel *channel, double *out)
{
	const struct kind *kind = channel->kind;
	struct decimal input, raw, scale = {1, 0}, offset = {0, 0};
	int err = read_number(path, channel->name, channel->name, "input", &input);
	if (err == 0)
		*out = shorten(input.value * kind->factor, input.decimals + kind->decimals);
	if (err != -ENOENT)
		return err;
	err = read_number(path, channel->name, channel->name, "raw", &raw);
	if (err != 0)
		return err;
	err = read_number(path, channel->name, kind->channel, "scale", &scale);
	if (err == 0 || err == -ENOENT)
		err = read_number(path, channel->name, kind->channel, "offset", &offset);
	int decimals = raw.decimals > offset.decimals ? raw.decimals : offset.decimals;
	*out = shorten((raw.value + offset.value) * scale.value * kind->factor,
		decimals + scale.decimals + kind->decimals);
	return err == -ENOENT ? 0 : err;
}

/* ---- the channels of a device ---- */

struct channels {
	struct channel *at; /* owned */
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	const struct channel *x = a, *y = b;
	return strverscmp(x->quantity, y->quantity);
}

static int by_quantity(const void *a, const void *b)
{
	const struct iio_value *x = a, *y = b;
	return strcmp(x->quantity, y->quantity);
}

/* A file of the folder; most say nothing. @return 0 or -ENOMEM */
static int take_file(struct channels *channels, const char *file)
{
	struct channel channel;
	channel.kind = kind_of(file, channel.name);
	if (channel.kind == NULL)
		return 0;
	int n = snprintf(channel.quantity, sizeof(channel.quantity), "%s%s",
		channel.kind->quantity, channel.name + strlen(channel.kind->channel));
	if (n < 0 || (size_t)n >= sizeof(channel.quantity))
		return 0;
	/* A channel with both raw and input is one value. */
	for (size_t i = 0; i < channels->n; i++) {
		if (strcmp(channels->at[i].quantity, channel.quantity) == 0)
			return 0;
	}
	struct channel *at =
		realloc(channels->at, (channels->n + 1) * sizeof(*channels->at));
	if (at == NULL)
		return -ENOMEM;
	channels->at = at;
	channels->at[channels->n++] = channel;
	return 0;
}

/* All of them, by name; the kernel lists its files in no order. */
static int list_channels(const char *path, struct channels *channels)
{
	int err = 0;
	struct dirent *entry;
	DIR *folder = opendir(path);
	if (folder == NULL)
		return errno == ENOENT ? -ENODEV : -errno;
	while (err == 0 && (entry = readdir(folder)) != NULL)
		err = take_file(channels, entry->d_name);
	closedir(folder);
	if (channels->n > 0)
		qsort(channels->at, channels->n, sizeof(channels->at[0]), by_name);
	return err;
}

static void take_channel(
	const char *path, const struct channel *channel, struct iio_values *out)
{
	struct iio_value *value = &out->at[out->n];
	int err = read_channel(path, channel, &value->value);
	if (err == 0) {
		memcpy(value->quantity, channel->quantity, sizeof(value->quantity));
		value->unit = channel->kind->unit;
		out->n++;
	} else if (out->failed++ == 0) {
		out->error = err;
		memcpy(out->failed_quantity, channel->quantity,
			sizeof(out->failed_quantity));
	}
}

static void leave_out(const struct channel *channel, struct iio_values *out)
{
	size_t len = strlen(out->left_out_names);
	if (len + strlen(channel->quantity) + 2 <= sizeof(out->left_out_names))
		snprintf(out->left_out_names + len, sizeof(out->left_out_names) - len,
			"%s%s", len > 0 ? " " : "", channel->quantity);
	out->left_out++;
}

int iio_read(const char *path, struct iio_values *out)
{
	struct channels channels = {NULL, 0};
	*out = (struct iio_values){.n = 0};
	int err = list_channels(path, &channels);
	for (size_t i = 0; i < channels.n && err == 0; i++) {
		if (i < DP_READING_VALUES)
			take_channel(path, &channels.at[i], out);
		else
			leave_out(&channels.at[i], out);
	}
	free(channels.at);
	if (err == 0 && out->n == 0)
		err = out->failed > 0 ? out->error : -ENODATA;
	/* The device went while it was read. */
	if ((out->failed > 0 || err == -ENODATA) && access(path, F_OK) != 0)
		err = -ENODEV;
	qsort(out->at, out->n, sizeof(out->at[0]), by_quantity);
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
