/* Which readings a message carries: the MQTT 5 properties of README.md. Pure. */
#ifndef DP_IDENTITY_H
#define DP_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

#define DP_CONTRACT_VERSION "1"
#define DP_CONTRACT_ENCODED "2" /**< of a message whose payload is encoded */
#define DP_CONTENT_TYPE "application/senml+json"
#define DP_STREAM_BYTES 16
#define DP_STREAM_HEX ((size_t)2 * DP_STREAM_BYTES)
#define DP_SEQ_MAX ((uint64_t)1 << 53) /**< beyond it a JSON number is no longer exact */
#define DP_COUNT_MAX 10000u
#define DP_WAIT_MAX_MS 60000u /**< longer than that nobody waits for an answer */

/** One MQTT 5 user property; the strings belong to whoever made the array. */
struct dp_property {
	const char *name;
	const char *value;
};

/** One run of a sampler. */
struct dp_stream_id {
	uint8_t bytes[DP_STREAM_BYTES];
};

/** What a payload is written in. */
enum dp_encoding {
	DP_ENCODING_NONE, /**< as its content type says */
	DP_ENCODING_DEFLATE,
};

struct dp_identity {
	struct dp_stream_id stream;
	uint64_t first; /**< sequence number of the first reading, from 1 */
	uint32_t count; /**< 0: the message only carries `low` */
	uint64_t low;	/**< oldest number still held before this hop; 0 unknown */
	enum dp_clock_mark clock;
	uint32_t wait_ms; /**< how long the answer may take; 0: it is wanted at once */
	bool odd_wait;	  /**< decoded only: it was no number, or too large */
	enum dp_encoding encoding;     /**< of the payload */
	enum dp_encoding offer;	       /**< which one the sender would like to use */
	char boot[DP_BOOT_ID_LEN + 1]; /**< with DP_CLOCK_NONE only */
	int64_t boottime_ns;	       /**< with DP_CLOCK_NONE only */
};

/** Its name in properties and answers; NULL for DP_ENCODING_NONE. */
const char *dp_encoding_name(enum dp_encoding encoding);

#define DP_IDENTITY_PROPERTIES 11

/** Room for what dp_identity_encode() writes; lives as long as the properties are used. */
struct dp_identity_text {
	struct dp_property properties[DP_IDENTITY_PROPERTIES];
	size_t n;
	char stream[DP_STREAM_HEX + 1];
	char first[24], count[24], low[24], boottime[24], wait[16];
};

void dp_identity_encode(const struct dp_identity *identity, struct dp_identity_text *text);

/**
 * Read the properties of a message. Unknown names are ignored, a known one that
 * comes twice is an error.
 * @param why  set on failure: a literal
 * @return 0; -EBADMSG missing, malformed or out of range; -EPROTONOSUPPORT another
 *         contract version or an encoding that is not known, with stream, first and count
 * filled in when they could be read (count 0 otherwise)
 */
int dp_identity_decode(const struct dp_property *properties, size_t n,
	struct dp_identity *identity, const char **why);

#endif
