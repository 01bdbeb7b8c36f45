/* What sensors answer: captures of real ones with the truth about them, and made ones. */
#ifndef RIG_FRAMES_H
#define RIG_FRAMES_H

#include <stddef.h>

#include "../unit/dht_line.h"

#define FRAMES_MAX 32

/** A capture of tests/data, transaction by transaction, and what was on the wire. */
struct capture {
	char file[64];
	const char *driver; /**< dht11 or dht22 */
	size_t n;
	struct dht_line answers[FRAMES_MAX];
	double temperature[FRAMES_MAX], humidity[FRAMES_MAX];
};

#define CAPTURES_MAX 32

/** Every capture that truth.json names; they stay. @return how many, at least one */
size_t captures_load(const struct capture *captures[CAPTURES_MAX]);

/** A frame of a DHT22 that sends these tenths. */
struct dht_line frame_dht22(int humidity_tenths, int temperature_tenths);

/**
 * What a sensor answers that was not asked for long: what it measured then. No other frame
 * has its values, of either model, so that it is noticed when somebody takes them.
 */
struct dht_line frame_stale(void);

/** No answer. */
struct dht_line frame_silence(void);

#endif
