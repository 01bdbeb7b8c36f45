/*
 * The decoder of the single-wire DHT11 and AM230x (DHT22) humidity sensors. Pure: no
 * I/O, clock or allocation.
 *
 * It needs falling edges only, because these are all that a kernel reports with a
 * timestamp taken in the interrupt. A bit is the time from one falling edge to the
 * next: about 80 us is a 0, about 127 us a 1, up to 14 us more at the start of a byte.
 *
 * After the host releases its start pulse a sensor answers with 42 falling edges: its
 * response, the end of the response, and the end of each of 40 bits. The first one may
 * be missing (it comes 20 to 45 us after the release). Some sensors (AM2301) append
 * zeros up to 64 bits; what trails the 40 bits is ignored.
 *
 * A value is returned only if all of these hold (dht_decode.c has the numbers):
 *  1. the head of the frame is found: the response, or a plausible count of edges;
 *  2. each interval is 65 to 105 us (0) or 112 to 150 us (1), and nearer to the other
 *     intervals of its kind. One that strays is accepted only in a frame whose other
 *     intervals vary so much that it is no surprise, and none near the middle;
 *  3. the frame as a whole is quiet enough: misreading two bits in a way that the
 *     checksum cannot see takes two edges 46 us late, so the mean lateness is bounded;
 *  4. the checksum fits;
 *  5. the values are possible for the model, and no known junk.
 * A frame whose first edges are missing is completed with zeros (these bits are always
 * 0 in a possible value); it must be quieter still, and start at the right time.
 *
 * Sources: Aosong AM2302 and DHT11 product manuals ("single-bus communication");
 * measurements on the captures in tests/data.
 */
#ifndef SAMPLER_DHT_DECODE_H
#define SAMPLER_DHT_DECODE_H

#include "dht_values.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dht_status {
	DHT_OK,
	DHT_RECOVERED,	 /**< a value from a frame that lacked edges or had glitches */
	DHT_NO_RESPONSE, /**< no edge after the start pulse */
	DHT_SHORT,	 /**< too few edges */
	DHT_SYNC,	 /**< intervals that are neither 0 nor 1, or too much noise */
	DHT_CHECKSUM,	 /**< well-formed bits, wrong sum */
	DHT_RANGE,	 /**< right sum, impossible value: often the wrong model */
};

/** The release of the start pulse is not known: no recovery of missed leading edges. */
#define DHT_RELEASE_UNKNOWN INT64_MIN

/** What followed one start pulse. Times are nanoseconds of any monotonic clock. */
struct dht_frame {
	const int64_t *fall_ns; /**< falling edges after the release, in order */
	const int64_t *rise_ns; /**< NULL, or the rising edge before each falling edge */
	size_t count;
	/**
	 * When the host released the line, or a little later, or DHT_RELEASE_UNKNOWN. More
	 * than 40 us late, missed edges are not recovered.
	 */
	int64_t release_ns;
	/** Edges were removed or mended: accept only what would pass as recovered. */
	bool repaired;
};

struct dht_reading {
	int32_t temp_mdegc; /**< milli-degrees Celsius */
	int32_t rh_mpct;    /**< milli-percent relative humidity */
	/* What follows is for logs, and set whatever the status is. */
	uint8_t bytes[5];    /**< zero until the bits have been read */
	unsigned int falls;  /**< falling edges in the frame: 42, or 66 with 64 bits */
	unsigned int bits;   /**< intervals after the head of the frame */
	unsigned int missed; /**< leading bits filled in */
	uint32_t noise_ns;   /**< mean timing error of an edge, as far as it is known */
};

/** `ok`, `recovered`, `no-response`, `short`, `sync`, `checksum`, `range`. */
const char *dht_status_name(enum dht_status status);

/** Whether there is a value: ok or recovered. */
bool dht_status_has_value(enum dht_status status);

/**
 * Decode one frame.
 * @param frame  edges; the first pause above 1 ms ends the frame
 * @param out    values (temp_mdegc, rh_mpct) only if dht_status_has_value(), else 0
 */
enum dht_status dht_decode(const struct dht_options *options, const struct dht_frame *frame,
	struct dht_reading *out);

#endif
