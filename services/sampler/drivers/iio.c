/*
 * iio@NAME: any sensor for which the kernel has a driver (BME280, SHT3x, light, voltage
 * ...), by its name or its folder. All its channels of known kinds are one reading, the
 * first eight if it has more. A channel that cannot be read is left out of it.
 * Reading waits for the device, on the thread pool.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sampler/driver.h"
#include "sampler/iio_device.h"
#include "sampler/spec.h"

struct iio {
	struct driver_read *read;
	uv_loop_t *loop;
	const char *name; /* the sensor's */
	bool said_left_out;
	unsigned said_failed; /* channels */
	char where[IIO_PATH_SIZE];
	uv_work_t work;
	bool working, closing;
	/* Of the work under way. */
	char path[IIO_PATH_SIZE];
	int result;
	struct iio_values values;
};

static void do_work(uv_work_t *work)
{
	struct iio *iio = work->data;
	iio->result = iio_find(iio->where, IIO_DEVICES, iio->path);
	if (iio->result == 0)
		iio->result = iio_read(iio->path, &iio->values);
}

static void fill(const struct iio *iio, struct driver_outcome *out)
{
	*out = (struct driver_outcome){.n = iio->values.n};
	for (unsigned i = 0; i < iio->values.n; i++) {
		const struct iio_value *value = &iio->values.at[i];
		out->values[i] = (struct dp_value){
			dp_slice(value->quantity), dp_slice(value->unit), value->value};
	}
}

/* Once for each change: a value less is easily overlooked. */
static void say_what_is_missing(struct iio *iio)
{
	const struct iio_values *values = &iio->values;
	if (values->left_out > 0 && !iio->said_left_out)
		dp_log(DP_LOG_WARN,
			"a reading has at most eight values; the other channels of the "
			"device are left out",
			"sensor=%s left_out=\"%s\" channels=%u", iio->name,
			values->left_out_names, values->left_out);
	iio->said_left_out = values->left_out > 0;
	if (values->failed > 0 && values->failed != iio->said_failed)
		dp_log(DP_LOG_WARN,
			"channels of a device cannot be read; its readings go on without "
			"them",
			"sensor=%s channels=%u first=%s error=\"%s\"", iio->name,
			values->failed, values->failed_quantity, strerror(-values->error));
	if (values->failed == 0 && iio->said_failed > 0)
		dp_log(DP_LOG_INFO, "all channels of a device can be read again",
			"sensor=%s", iio->name);
	iio->said_failed = values->failed;
}

static void explain(int err, struct driver_outcome *out)
{
	*out = (struct driver_outcome){.failure = "iio-error", .advice = strerror(-err)};
	if (err == -ENODEV) {
		out->failure = "no-device";
		out->advice = "no such IIO device; is its kernel driver loaded and bound?";
	} else if (err == -ENODATA) {
		out->failure = "no-channel";
		out->advice = "the device has no channel of a known kind";
	}
}

static void work_done(uv_work_t *work, int status)
{
	struct iio *iio = work->data;
	struct driver_outcome outcome;
	iio->working = false;
	if (iio->closing) {
		free(iio);
		return;
	}
	if (status != 0)
		iio->result = status;
	if (iio->result == 0) {
		say_what_is_missing(iio);
		fill(iio, &outcome);
	} else {
		explain(iio->result, &outcome);
	}
	iio->read->done(iio->read, &outcome);
}

static void iio_driver_read(void *state)
{
	struct iio *iio = state;
	iio->working = true;
	iio->work.data = iio;
	int err = uv_queue_work(iio->loop, &iio->work, do_work, work_done);
	if (err != 0)
		work_done(&iio->work, err);
}

static int iio_driver_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, char *why, size_t why_size)
{
	struct iio *iio = calloc(1, sizeof(*iio));
	if (iio == NULL)
		dp_log_out_of_memory("a sensor");
	int n = snprintf(iio->where, sizeof(iio->where), "%s", spec->argument);
	if ((size_t)n >= sizeof(iio->where)) {
		snprintf(why, why_size, "the name of the device is too long");
		free(iio);
		return -EINVAL;
	}
	iio->read = read;
	iio->loop = host->loop;
	iio->name = spec->name;
	out->state = iio;
	return 0;
}

static void iio_driver_close(void *state)
{
	struct iio *iio = state;
	iio->closing = true;
	if (!iio->working)
		free(iio);
}

static const char *const iio_options[] = {NULL};

extern const struct driver iio_driver;
const struct driver iio_driver = {
	.name = "iio",
	.argument = "the name or the folder of a device, as in " IIO_DEVICES "/*/name",
	.options = iio_options,
	.waits = true,
	.open = iio_driver_open,
	.read = iio_driver_read,
	.close = iio_driver_close,
};
