#include "sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

#define CONFIG "/sys/kernel/config/gpio-sim"

static void write_to(const char *folder, const char *file, const char *text)
{
	char path[400];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	rig_write(path, text);
}

static void read_word(const char *folder, const char *file, char word[32])
{
	char path[400];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	rig_read(path, word, 32);
	word[strcspn(word, "\n")] = '\0';
}

static int open_device(const struct sim_chip *chip)
{
	int fd = open(chip->device, O_RDWR | O_CLOEXEC);
	expect(fd >= 0, "cannot open %s: %s", chip->device, strerror(errno));
	return fd;
}

/* Give the device to the group, which is what a board's udev does. */
static void share_device(const struct sim_chip *chip)
{
	expect(chown(chip->device, 0, SIM_GROUP) == 0 && chmod(chip->device, 0660) == 0,
		"cannot share %s: %s", chip->device, strerror(errno));
}

void sim_make(struct sim_chip *chip, const char *label, unsigned lines)
{
	char bank[128], text[16];
	chip->label = label;
	snprintf(chip->config, sizeof(chip->config), CONFIG "/%.31s", label);
	snprintf(bank, sizeof(bank), "%s/bank0", chip->config);
	expect(mkdir(chip->config, 0755) == 0 && mkdir(bank, 0755) == 0,
		"cannot make the chip %s: %s", label, strerror(errno));
	snprintf(text, sizeof(text), "%u", lines);
	write_to(bank, "num_lines", text);
	write_to(bank, "label", label);
	sim_appear(chip);
}

void sim_appear(struct sim_chip *chip)
{
	char device[32], name[32];
	write_to(chip->config, "live", "1");
	read_word(chip->config, "dev_name", device);
	read_word(chip->config, "bank0/chip_name", name);
	snprintf(chip->device, sizeof(chip->device), "/dev/%.24s", name);
	snprintf(chip->lines, sizeof(chip->lines), "/sys/devices/platform/%s/%s", device,
		name);
	share_device(chip);
}

void sim_vanish(struct sim_chip *chip)
{
	write_to(chip->config, "live", "0");
}

void sim_remove_all(void)
{
	char folder[300], bank[320], live[32];
	struct dirent *entry;
	DIR *chips = opendir(CONFIG);
	while (chips != NULL && (entry = readdir(chips)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), CONFIG "/%s", entry->d_name);
		snprintf(bank, sizeof(bank), "%s/bank0", folder);
		read_word(folder, "live", live);
		if (strcmp(live, "1") == 0)
			write_to(folder, "live", "0");
		rmdir(bank);
		rmdir(folder);
	}
	if (chips != NULL)
		closedir(chips);
}

int sim_pull_open(const struct sim_chip *chip, unsigned line)
{
	char path[400];
	snprintf(path, sizeof(path), "%s/sim_gpio%u/pull", chip->lines, line);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	expect(fd >= 0, "cannot open %s: %s", path, strerror(errno));
	return fd;
}

void sim_pull(const struct sim_chip *chip, unsigned line, bool high)
{
	char file[32];
	snprintf(file, sizeof(file), "sim_gpio%u/pull", line);
	write_to(chip->lines, file, high ? "pull-up" : "pull-down");
}

bool sim_level(const struct sim_chip *chip, unsigned line)
{
	char file[32], word[32];
	snprintf(file, sizeof(file), "sim_gpio%u/value", line);
	read_word(chip->lines, file, word);
	return strcmp(word, "1") == 0;
}

int sim_hold(const struct sim_chip *chip, unsigned line, const char *consumer)
{
	struct gpio_v2_line_request request = {.offsets = {line},
		.num_lines = 1,
		.config = {.flags = GPIO_V2_LINE_FLAG_INPUT}};
	int fd = open_device(chip);
	snprintf(request.consumer, sizeof(request.consumer), "%s", consumer);
	expect(ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &request) == 0, "cannot take line %u: %s",
		line, strerror(errno));
	close(fd);
	return request.fd;
}

struct gpio_v2_line_info sim_info(const struct sim_chip *chip, unsigned line)
{
	struct gpio_v2_line_info info = {.offset = line};
	int fd = open_device(chip);
	expect(ioctl(fd, GPIO_V2_GET_LINEINFO_IOCTL, &info) == 0, "no info of line %u: %s",
		line, strerror(errno));
	close(fd);
	return info;
}
