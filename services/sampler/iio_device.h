/*
 * A device of the kernel's Industrial I/O subsystem, read through its files. Calls wait for
 * the device and run in the thread pool.
 *
 * Source: Documentation/ABI/testing/sysfs-bus-iio of the Linux kernel: which attributes a
 * channel has, and the units of (raw + offset) * scale and of input.
 */
#ifndef SAMPLER_IIO_DEVICE_H
#define SAMPLER_IIO_DEVICE_H

#include <stddef.h>

#include "reading.h"

#define IIO_DEVICES "/sys/bus/iio/devices"
#define IIO_PATH_SIZE 256
#define IIO_NAME_SIZE 32

struct iio_value {
	char quantity[IIO_NAME_SIZE];
	const char *unit; /**< of SenML */
	double value;
};

struct iio_values {
	unsigned n;
	struct iio_value at[DP_READING_VALUES];
	unsigned failed; /**< channels that could not be read this time */
	int error;	 /**< of the first of them, which is */
	char failed_quantity[IIO_NAME_SIZE];
	unsigned left_out;	  /**< channels beyond the eighth, which are not read: */
	char left_out_names[160]; /**< their names, as many as find room */
};

/**
 * Find a device.
 * @param where  its folder, or what its file `name` says
 * @param root   where devices are looked for by name: IIO_DEVICES
 * @param path   its folder
 * @return 0; -ENODEV there is none; -ENAMETOOLONG
 */
int iio_find(const char *where, const char *root, char path[IIO_PATH_SIZE]);

/**
 * Read its channels of known kinds: of more than eight the first by name, `voltage2` before
 * `voltage10`. A channel that fails costs itself only. A value has the decimals of what it
 * was computed from, 15.008 and not 15.008000000000001.
 * @return 0; -ENODEV the device is gone; -ENODATA it has no such channel; when all of them
 *         fail, what reading the first failed with (-EIO, -ETIMEDOUT)
 */
int iio_read(const char *path, struct iio_values *out);

#endif
