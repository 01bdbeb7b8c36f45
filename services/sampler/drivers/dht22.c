/* dht22@PIN: a DHT22 (AM230x, AM232x, RHT03, DHT21) on a GPIO line. */
#include "sampler/dht_line.h"

static int dht22_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, char *why, size_t why_size)
{
	return dht_line_open(out, host, read, spec, DHT_MODEL_DHT22, why, why_size);
}

extern const struct driver dht22_driver;
const struct driver dht22_driver = {
	.name = "dht22",
	.argument = "a pin: 7, GPIO4, PA6 or chip-label:line",
	.options = dht_line_options,
	.open = dht22_open,
	.read = dht_line_read,
	.close = dht_line_close,
};
