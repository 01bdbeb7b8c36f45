/* dht11@PIN: a DHT11 on a GPIO line. */
#include "sampler/dht_line.h"

static int dht11_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, char *why, size_t why_size)
{
	return dht_line_open(out, host, read, spec, DHT_MODEL_DHT11, why, why_size);
}

extern const struct driver dht11_driver;
const struct driver dht11_driver = {
	.name = "dht11",
	.argument = "a pin: 7, GPIO4, PA6 or chip-label:line",
	.options = dht_line_options,
	.open = dht11_open,
	.read = dht_line_read,
	.close = dht_line_close,
};
