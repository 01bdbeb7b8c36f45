/* What other people's devices send on /data/<node>, decoded. Pure. */
#ifndef INGEST_PLAIN_H
#define INGEST_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reading.h"

/**
 * Decode a flat JSON object of numbers or the text `Temp=24.8°C, Humidity=60.6%`.
 * SenML (an array) is dp_senml_open()'s.
 * @param now_us   the reading's time when the message has none
 * @param reading  its strings point into `names`
 * @param names    PLAIN_NAMES bytes
 * @param why      set on failure: a literal
 * @return 0; -EBADMSG; -ENOMEM
 */
int plain_decode(const char *payload, size_t len, int64_t now_us,
	struct dp_reading *reading, char *names, const char **why);

#define PLAIN_NAMES 1024
#define PLAIN_TOPIC_MAX 1024 /* bytes */

/** Whether a payload is SenML: its first character that is no space is a bracket. */
bool plain_is_senml(const char *payload, size_t len);

#endif
