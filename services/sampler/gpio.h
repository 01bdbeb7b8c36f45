/*
 * GPIO lines as the kernel gives them. gpio_libgpiod.c is the only file that knows
 * libgpiod; tests link tests/harness/gpio_fake.c in its place.
 *
 * A chip is named by its label (`pinctrl-bcm2711`), never by its number, which changes
 * between kernels. A line is its offset on the chip. Values are logical: with active_low,
 * 1 is the low level.
 */
#ifndef SAMPLER_GPIO_H
#define SAMPLER_GPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPIO_NAME_SIZE 32 /* of the kernel's names and labels, with the NUL */
#define GPIO_MODES_MAX 3

/** Where a line is. */
struct gpio_place {
	char chip[GPIO_NAME_SIZE]; /**< label */
	unsigned line;
};

enum gpio_edges { GPIO_EDGES_NONE, GPIO_EDGES_FALLING, GPIO_EDGES_RISING, GPIO_EDGES_BOTH };

enum gpio_bias { GPIO_BIAS_AS_IS, GPIO_BIAS_OFF, GPIO_BIAS_PULL_UP, GPIO_BIAS_PULL_DOWN };

/** How a line is used. */
struct gpio_mode {
	bool output;
	bool as_is;	 /**< neither: its direction is left alone, its level can be read */
	bool open_drain; /**< of an output: drives low only */
	bool active_low;
	bool value; /**< of an output: what it has from the first instant */
	enum gpio_bias bias;
	enum gpio_edges edges; /**< of an input: what is reported */
	uint32_t debounce_us;  /**< of an input; 0: none */
};

/** Seen by the kernel in its interrupt, on CLOCK_MONOTONIC. */
struct gpio_edge {
	int64_t ts_ns;
	bool rising;	/**< of the logical value; certain only if one kind is reported */
	uint32_t seqno; /**< from 1; a step above 1 means that edges were lost */
};

struct gpio_line;

/**
 * Take a line, in the first of its modes.
 * @param consumer  who uses it: what `gpioinfo` shows
 * @return 0; -ENODEV no such chip; -ENXIO no such line; -EBUSY it is in use, see
 *         gpio_look(); -EACCES the device may not be opened; -ENOTSUP the chip cannot do
 *         one of the modes (edges, bias); another negative errno
 */
int gpio_open(struct gpio_line **out, const struct gpio_place *place, const char *consumer,
	const struct gpio_mode *modes, size_t n_modes);

/** Harmless with NULL. */
void gpio_close(struct gpio_line *line);

/** Use the line in another of its modes, quickly. @return 0 or a negative errno */
int gpio_change(struct gpio_line *line, size_t mode);

/** Readable when there are edges; POLLERR or edges of -ENODEV when the chip is gone. */
int gpio_fd(const struct gpio_line *line);

/**
 * Edges that have been seen. Never blocks.
 * @return how many were taken, 0 when there are none; -ENODEV the chip is gone
 */
int gpio_edges(struct gpio_line *line, struct gpio_edge *edges, size_t max);

/** The level as it is now, read back from the line. @return 0, 1 or a negative errno */
int gpio_value(struct gpio_line *line);

/** @return 0 or a negative errno; -ENODEV the chip is gone */
int gpio_set(struct gpio_line *line, bool value);

struct gpio_chip {
	char path[64]; /**< /dev/gpiochip0 */
	char label[GPIO_NAME_SIZE];
	unsigned lines;
};

/** Every chip that may be opened. @return how many there are, opened or not */
size_t gpio_list(void (*each)(void *data, const struct gpio_chip *chip), void *data);

struct gpio_look {
	char name[GPIO_NAME_SIZE];     /**< of the line in the device tree, or empty */
	char consumer[GPIO_NAME_SIZE]; /**< who uses it, or empty */
	bool used, output;
};

/** @return 0; -ENODEV; -ENXIO; -EACCES */
int gpio_look(const struct gpio_place *place, struct gpio_look *out);

#endif
