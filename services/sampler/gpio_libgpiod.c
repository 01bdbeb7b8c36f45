#include "gpio.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpiod.h>

#define DEVICES "/dev"
/* The kernel keeps 16 edges a line unless told otherwise and drops the oldest. */
#define EVENTS 256

struct gpio_line {
	struct gpiod_line_request *request;
	struct gpiod_line_config *modes[GPIO_MODES_MAX];
	struct gpiod_edge_event_buffer *events;
	unsigned offset;
};

/* ---- chips ---- */

static bool is_chip(const struct dirent *entry, char path[64])
{
	if (strncmp(entry->d_name, "gpiochip", 8) != 0)
		return false;
	int n = snprintf(path, 64, DEVICES "/%.40s", entry->d_name);
	return n > 0 && n < 64 && gpiod_is_gpiochip_device(path);
}

/* @return the open chip, or NULL with errno set */
static struct gpiod_chip *look_at_chip(const char *path, struct gpio_chip *out)
{
	struct gpiod_chip *chip = gpiod_chip_open(path);
	struct gpiod_chip_info *info = chip != NULL ? gpiod_chip_get_info(chip) : NULL;
	if (info == NULL) {
		int err = errno;
		if (chip != NULL)
			gpiod_chip_close(chip);
		errno = err;
		return NULL;
	}
	snprintf(out->path, sizeof(out->path), "%s", path);
	snprintf(out->label, sizeof(out->label), "%s", gpiod_chip_info_get_label(info));
	out->lines = (unsigned)gpiod_chip_info_get_num_lines(info);
	gpiod_chip_info_free(info);
	return chip;
}

size_t gpio_list(void (*each)(void *data, const struct gpio_chip *chip), void *data)
{
	size_t n = 0;
	char path[64];
	struct gpio_chip chip;
	struct dirent *entry;
	DIR *devices = opendir(DEVICES);
	while (devices != NULL && (entry = readdir(devices)) != NULL) {
		if (!is_chip(entry, path))
			continue;
		n++;
		struct gpiod_chip *open = look_at_chip(path, &chip);
		if (open == NULL)
			continue;
		gpiod_chip_close(open);
		each(data, &chip);
	}
	if (devices != NULL)
		closedir(devices);
	return n;
}

/* @return the chip of that label, or NULL with the reason in *err */
static struct gpiod_chip *find_chip(const char *label, struct gpio_chip *found, int *err)
{
	char path[64];
	struct dirent *entry;
	struct gpiod_chip *chip = NULL;
	DIR *devices = opendir(DEVICES);
	*err = -ENODEV;
	while (devices != NULL && chip == NULL && (entry = readdir(devices)) != NULL) {
		if (!is_chip(entry, path))
			continue;
		chip = look_at_chip(path, found);
		if (chip == NULL && (errno == EACCES || errno == EPERM))
			*err = -EACCES;
		if (chip != NULL && strcmp(found->label, label) != 0) {
			gpiod_chip_close(chip);
			chip = NULL;
		}
	}
	if (devices != NULL)
		closedir(devices);
	return chip;
}

int gpio_look(const struct gpio_place *place, struct gpio_look *out)
{
	struct gpio_chip found;
	int err;
	struct gpiod_chip *chip = find_chip(place->chip, &found, &err);
	*out = (struct gpio_look){.used = false};
	if (chip == NULL)
		return err;
	struct gpiod_line_info *info = place->line < found.lines
					       ? gpiod_chip_get_line_info(chip, place->line)
					       : NULL;
	if (info == NULL) {
		gpiod_chip_close(chip);
		return -ENXIO;
	}
	const char *name = gpiod_line_info_get_name(info);
	const char *consumer = gpiod_line_info_get_consumer(info);
	snprintf(out->name, sizeof(out->name), "%s", name != NULL ? name : "");
	snprintf(out->consumer, sizeof(out->consumer), "%s",
		consumer != NULL ? consumer : "");
	out->used = gpiod_line_info_is_used(info);
	out->output = gpiod_line_info_get_direction(info) == GPIOD_LINE_DIRECTION_OUTPUT;
	gpiod_line_info_free(info);
	gpiod_chip_close(chip);
	return 0;
}

/* ---- modes ---- */

static enum gpiod_line_bias bias_of(enum gpio_bias bias)
{
	switch (bias) {
	case GPIO_BIAS_OFF:
		return GPIOD_LINE_BIAS_DISABLED;
	case GPIO_BIAS_PULL_UP:
		return GPIOD_LINE_BIAS_PULL_UP;
	case GPIO_BIAS_PULL_DOWN:
		return GPIOD_LINE_BIAS_PULL_DOWN;
	default:
		return GPIOD_LINE_BIAS_AS_IS;
	}
}

static enum gpiod_line_edge edges_of(enum gpio_edges edges)
{
	switch (edges) {
	case GPIO_EDGES_FALLING:
		return GPIOD_LINE_EDGE_FALLING;
	case GPIO_EDGES_RISING:
		return GPIOD_LINE_EDGE_RISING;
	case GPIO_EDGES_BOTH:
		return GPIOD_LINE_EDGE_BOTH;
	default:
		return GPIOD_LINE_EDGE_NONE;
	}
}

static int set_up(struct gpiod_line_settings *settings, const struct gpio_mode *mode)
{
	int err = gpiod_line_settings_set_bias(settings, bias_of(mode->bias));
	gpiod_line_settings_set_active_low(settings, mode->active_low);
	if (mode->output) {
		err |= gpiod_line_settings_set_direction(
			settings, GPIOD_LINE_DIRECTION_OUTPUT);
		err |= gpiod_line_settings_set_drive(
			settings, mode->open_drain ? GPIOD_LINE_DRIVE_OPEN_DRAIN
						   : GPIOD_LINE_DRIVE_PUSH_PULL);
		err |= gpiod_line_settings_set_output_value(settings,
			mode->value ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
	} else if (mode->as_is) {
		err |= gpiod_line_settings_set_direction(
			settings, GPIOD_LINE_DIRECTION_AS_IS);
	} else {
		err |= gpiod_line_settings_set_direction(
			settings, GPIOD_LINE_DIRECTION_INPUT);
		err |= gpiod_line_settings_set_edge_detection(
			settings, edges_of(mode->edges));
		err |= gpiod_line_settings_set_event_clock(
			settings, GPIOD_LINE_CLOCK_MONOTONIC);
		gpiod_line_settings_set_debounce_period_us(settings, mode->debounce_us);
	}
	return err == 0 ? 0 : -EINVAL;
}

/* @return 0, -ENOMEM or -EINVAL */
static int make_mode(
	struct gpiod_line_config **out, unsigned offset, const struct gpio_mode *mode)
{
	struct gpiod_line_settings *settings = gpiod_line_settings_new();
	*out = gpiod_line_config_new();
	int err = settings == NULL || *out == NULL ? -ENOMEM : set_up(settings, mode);
	if (err == 0 &&
		gpiod_line_config_add_line_settings(*out, &offset, 1, settings) != 0)
		err = -errno;
	gpiod_line_settings_free(settings);
	return err;
}

/* ---- lines ---- */

static int request(struct gpio_line *line, struct gpiod_chip *chip, const char *consumer)
{
	struct gpiod_request_config *config = gpiod_request_config_new();
	if (config == NULL)
		return -ENOMEM;
	gpiod_request_config_set_consumer(config, consumer);
	gpiod_request_config_set_event_buffer_size(config, EVENTS);
	line->request = gpiod_chip_request_lines(chip, config, line->modes[0]);
	int err = line->request != NULL ? 0 : -errno;
	gpiod_request_config_free(config);
	/* The chip is open: it is the interrupt or the bias that does not exist. */
	return err == -ENODEV || err == -ENXIO || err == -EOPNOTSUPP ? -ENOTSUP : err;
}

static int build(struct gpio_line *line, const struct gpio_mode *modes, size_t n_modes)
{
	int err = n_modes > 0 && n_modes <= GPIO_MODES_MAX ? 0 : -EINVAL;
	for (size_t i = 0; i < n_modes && err == 0; i++)
		err = make_mode(&line->modes[i], line->offset, &modes[i]);
	line->events = gpiod_edge_event_buffer_new(EVENTS);
	return err == 0 && line->events == NULL ? -ENOMEM : err;
}

int gpio_open(struct gpio_line **out, const struct gpio_place *place, const char *consumer,
	const struct gpio_mode *modes, size_t n_modes)
{
	struct gpio_chip found;
	int err;
	*out = NULL;
	struct gpiod_chip *chip = find_chip(place->chip, &found, &err);
	if (chip == NULL)
		return err;
	struct gpio_line *line =
		place->line < found.lines ? calloc(1, sizeof(*line)) : NULL;
	if (line == NULL) {
		gpiod_chip_close(chip);
		return place->line < found.lines ? -ENOMEM : -ENXIO;
	}
	line->offset = place->line;
	err = build(line, modes, n_modes);
	if (err == 0)
		err = request(line, chip, consumer);
	gpiod_chip_close(chip);
	if (err != 0)
		gpio_close(line);
	else
		*out = line;
	return err;
}

void gpio_close(struct gpio_line *line)
{
	if (line == NULL)
		return;
	if (line->request != NULL)
		gpiod_line_request_release(line->request);
	for (size_t i = 0; i < GPIO_MODES_MAX; i++)
		gpiod_line_config_free(line->modes[i]);
	gpiod_edge_event_buffer_free(line->events);
	free(line);
}

int gpio_change(struct gpio_line *line, size_t mode)
{
	int err = gpiod_line_request_reconfigure_lines(line->request, line->modes[mode]);
	return err == 0 ? 0 : -errno;
}

int gpio_fd(const struct gpio_line *line)
{
	return gpiod_line_request_get_fd(line->request);
}

int gpio_edges(struct gpio_line *line, struct gpio_edge *edges, size_t max)
{
	/* Reading an empty queue would wait. */
	int ready = gpiod_line_request_wait_edge_events(line->request, 0);
	if (ready <= 0)
		return ready < 0 ? -errno : 0;
	if (max > EVENTS)
		max = EVENTS;
	int n = gpiod_line_request_read_edge_events(line->request, line->events, max);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct gpiod_edge_event *event =
			gpiod_edge_event_buffer_get_event(line->events, (unsigned long)i);
		edges[i] = (struct gpio_edge){
			.ts_ns = (int64_t)gpiod_edge_event_get_timestamp_ns(event),
			.rising = gpiod_edge_event_get_event_type(event) ==
				  GPIOD_EDGE_EVENT_RISING_EDGE,
			.seqno = (uint32_t)gpiod_edge_event_get_line_seqno(event)};
	}
	return n;
}

int gpio_value(struct gpio_line *line)
{
	int value = gpiod_line_request_get_value(line->request, line->offset);
	return value == GPIOD_LINE_VALUE_ERROR ? -errno : value == GPIOD_LINE_VALUE_ACTIVE;
}

int gpio_set(struct gpio_line *line, bool value)
{
	int err = gpiod_line_request_set_value(line->request, line->offset,
		value ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
	return err == 0 ? 0 : -errno;
}
