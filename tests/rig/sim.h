/* Simulated GPIO chips of the kernel's gpio-sim, and what happens on their lines. */
#ifndef RIG_SIM_H
#define RIG_SIM_H

#include <stdbool.h>
#include <sys/types.h>

#include <linux/gpio.h>

/* The group that may use the devices, as a board's `gpio`. */
#define SIM_GROUP 997

#define SIM_CHIP "pinctrl-rig"
#define SIM_LINES 32

struct sim_chip {
	const char *label;
	char config[96]; /* its folder in configfs */
	char device[32]; /* below /dev */
	char lines[128]; /* its folder in sysfs */
};

/** Make a chip; it ends with the scenario. The label outlives it. */
void sim_make(struct sim_chip *chip, const char *label, unsigned lines);

/** It is unplugged, with whoever uses it. */
void sim_vanish(struct sim_chip *chip);

/** It is plugged in again, perhaps under another number. */
void sim_appear(struct sim_chip *chip);

/** Every chip that a scenario left. */
void sim_remove_all(void);

/** What the outside does to a line: a pull that an input follows, and an output hides. */
void sim_pull(const struct sim_chip *chip, unsigned line, bool high);

/** The level on the wire. */
bool sim_level(const struct sim_chip *chip, unsigned line);

/** The attribute behind sim_pull(), open for writing. */
int sim_pull_open(const struct sim_chip *chip, unsigned line);

/** Use a line, as another program would. @return a descriptor; close() it to free it */
int sim_hold(const struct sim_chip *chip, unsigned line, const char *consumer);

/** What the kernel says about a line. */
struct gpio_v2_line_info sim_info(const struct sim_chip *chip, unsigned line);

#endif
