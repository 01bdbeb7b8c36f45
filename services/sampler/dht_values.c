#include "dht_values.h"

#include <strings.h>

static const struct {
	const char *name;
	enum dht_model model;
} models[] = {
	{"dht11", DHT_MODEL_DHT11},
	{"dht22", DHT_MODEL_DHT22},
	{"dht21", DHT_MODEL_DHT22},
	{"am2301", DHT_MODEL_DHT22},
	{"am2302", DHT_MODEL_DHT22},
	{"am2303", DHT_MODEL_DHT22},
	{"am2320", DHT_MODEL_DHT22},
	{"am2321", DHT_MODEL_DHT22},
	{"am2322", DHT_MODEL_DHT22},
	{"rht03", DHT_MODEL_DHT22},
};

static const struct {
	int32_t temp_min_mdegc, temp_max_mdegc;
	/* Leading bits that are 0 in every possible value: humidity is at most 100. */
	size_t zero_bits;
} limits[] = {
	[DHT_MODEL_DHT11] = {-20000, 60000, 1},
	[DHT_MODEL_DHT22] = {-40000, 80000, 6},
};

bool dht_model_find(const char *name, enum dht_model *model)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcasecmp(name, models[i].name) == 0) {
			*model = models[i].model;
			return true;
		}
	}
	return false;
}

size_t dht_zero_bits(enum dht_model model)
{
	return limits[model].zero_bits;
}

bool dht_checksum_fits(const struct dht_options *options, const uint8_t bytes[5])
{
	unsigned int sum = (unsigned int)bytes[0] + bytes[2];

	if (!options->two_byte_checksum)
		sum += (unsigned int)bytes[1] + bytes[3];
	return (sum & 0xff) == bytes[4];
}

/*
 * Tenths follow in bytes of their own. The sign is bit 7 of the tenths (Aosong's and
 * ASAIR's own, as in Adafruit's and the DHT12's drivers) or of the degrees (as in the
 * DHT22); no possible value has either set for another reason.
 */
static bool dht11_values(const struct dht_options *options, const uint8_t bytes[5],
	int32_t *temp_mdegc, int32_t *rh_mpct)
{
	int32_t rh_tenths = options->two_byte_checksum ? 0 : bytes[1];
	int32_t temp_tenths = options->two_byte_checksum ? 0 : bytes[3] & 0x7f;

	*rh_mpct = bytes[0] * 1000 + rh_tenths * 100;
	*temp_mdegc = (bytes[2] & 0x7f) * 1000 + temp_tenths * 100;
	if ((bytes[2] | bytes[3]) & 0x80)
		*temp_mdegc = -*temp_mdegc;
	return rh_tenths <= 9 && temp_tenths <= 9;
}

static bool dht22_values(const struct dht_options *options, const uint8_t bytes[5],
	int32_t *temp_mdegc, int32_t *rh_mpct)
{
	int32_t raw = bytes[2] << 8 | bytes[3];

	if (raw & 0x8000)
		raw = options->twos_complement ? raw - 0x10000 : -(raw & 0x7fff);
	*temp_mdegc = raw * 100;
	*rh_mpct = (bytes[0] << 8 | bytes[1]) * 100;
	return true;
}

/* What sensors send that are read too often or broken: 0.0 (or 0.1) degrees, 0 to 2 %. */
static bool is_junk(int32_t temp_mdegc, int32_t rh_mpct)
{
	return (temp_mdegc == 0 && rh_mpct <= 2000) ||
	       (temp_mdegc == 100 && rh_mpct == 1000);
}

bool dht_values(const struct dht_options *options, const uint8_t bytes[5],
	int32_t *temp_mdegc, int32_t *rh_mpct)
{
	int32_t temp, rh;
	bool possible = options->model == DHT_MODEL_DHT11
				? dht11_values(options, bytes, &temp, &rh)
				: dht22_values(options, bytes, &temp, &rh);

	if (!possible || rh > 100000 || temp < limits[options->model].temp_min_mdegc ||
		temp > limits[options->model].temp_max_mdegc || is_junk(temp, rh))
		return false;
	*temp_mdegc = temp;
	*rh_mpct = rh;
	return true;
}
