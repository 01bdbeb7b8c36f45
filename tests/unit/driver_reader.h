/* A driver of the sampler, opened and read without a sampler. */
#ifndef TEST_DRIVER_READER_H
#define TEST_DRIVER_READER_H

#include "sampler/sensor.h"
#include "support.h"

struct reader {
	struct driver_read read; /* first: the driver hands it back */
	struct sensor_list list;
	struct driver_host host;
	struct driver_instance instance;
	struct driver_outcome outcome;
	unsigned outcomes;
	char why[256];
};

static inline void reader_done(
	struct driver_read *read, const struct driver_outcome *outcome)
{
	struct reader *reader = (struct reader *)read;
	reader->outcome = *outcome;
	reader->outcomes++;
}

/* Open `s=<spec>`. @return as the driver's open(); reader_close() in either case */
static inline int reader_open(struct reader *reader, const char *spec, uint32_t tag)
{
	char text[512];
	memset(reader, 0, sizeof(*reader));
	reader->read.done = reader->read.event = reader_done;
	reader->host.tag = tag;
	snprintf(text, sizeof(text), "s=%s", spec);
	assert_int_equal(
		sensor_list_parse(&reader->list, text, reader->why, sizeof(reader->why)),
		0);
	const struct sensor_spec *sensor = &reader->list.specs[0];
	int err = sensor->driver->open(&reader->instance, &reader->host, &reader->read,
		sensor->spec, reader->why, sizeof(reader->why));
	assert_int_equal(err != 0, reader->instance.state == NULL);
	assert_int_equal(err != 0, reader->why[0] != '\0');
	return err;
}

/* One read, which these drivers answer at once. */
static inline const struct driver_outcome *reader_read(struct reader *reader)
{
	unsigned before = reader->outcomes;
	reader->list.specs[0].driver->read(reader->instance.state);
	assert_int_equal(reader->outcomes, before + 1);
	return &reader->outcome;
}

static inline void reader_close(struct reader *reader)
{
	if (reader->instance.state != NULL)
		reader->list.specs[0].driver->close(reader->instance.state);
	sensor_list_finish(&reader->list);
}

static inline void assert_value(const struct dp_value *value, const char *quantity,
	const char *unit, double expected)
{
	assert_true(dp_slice_equal(value->quantity, dp_slice(quantity)));
	assert_true(dp_slice_equal(value->unit, dp_slice(unit)));
	assert_true(value->value == expected);
}

#endif
