/*
 * The sensors of the DHT11 and AM230x (DHT22) family, and what the five bytes of a frame
 * mean: humidity, temperature, checksum. Pure.
 *
 * DHT22: humidity and temperature in tenths, two bytes each, the temperature with a sign
 * bit. DHT11: degrees and percent with a byte of tenths each, which most sensors leave 0.
 *
 * Sources: Aosong AM2302 and ASAIR DHT11 product manuals.
 */
#ifndef SAMPLER_DHT_VALUES_H
#define SAMPLER_DHT_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dht_model {
	DHT_MODEL_DHT11,
	DHT_MODEL_DHT22, /**< and all AM230x, AM232x, RHT03, DHT21 */
};

/** The names that dht_model_find() knows, for messages. */
#define DHT_MODEL_NAMES                                                                    \
	"dht11, dht22, dht21, am2301, am2302, am2303, am2320, am2321, am2322, rht03"

struct dht_options {
	enum dht_model model;
	/** DHT22: the temperature is two's complement, as some clones send it. */
	bool twos_complement;
	/**
	 * The checksum covers bytes 0 and 2 only. Since it protects half of the frame, the
	 * frame must be as quiet as a recovered one; a DHT11's decimals are not used.
	 */
	bool two_byte_checksum;
};

/** Model by name, in any case, aliases included. @return false when there is none */
bool dht_model_find(const char *name, enum dht_model *model);

/** How many leading bits are 0 in every possible frame. */
size_t dht_zero_bits(enum dht_model model);

/** Whether byte 4 is the sum of the others. */
bool dht_checksum_fits(const struct dht_options *options, const uint8_t bytes[5]);

/**
 * The values of a frame with a right checksum.
 * @param temp_mdegc,rh_mpct  milli-degrees Celsius and milli-percent, only on success
 * @return false for what no sensor measures: humidity above 100 %, temperature outside
 *         -40 to 80 (DHT22) or -20 to 60 degrees (DHT11), tenths above 9, known junk
 */
bool dht_values(const struct dht_options *options, const uint8_t bytes[5],
	int32_t *temp_mdegc, int32_t *rh_mpct);

#endif
