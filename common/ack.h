/* The answer to a batch (README.md, "Answers"), in both directions. Pure. */
#ifndef DP_ACK_H
#define DP_ACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity.h"

enum dp_ack_kind {
	DP_ACK_STORED,	 /**< final: in the database, or accepted by the publisher */
	DP_ACK_REJECTED, /**< final: in the dead letters */
	DP_ACK_LATER,	 /**< not now: keep and send again after a while */
	DP_ACK_KINDS
};

struct dp_ack_range {
	enum dp_ack_kind kind;
	struct dp_stream_id stream;
	uint64_t first;
	uint64_t count;
	const char *reason; /**< for rejected and later; printable ASCII without quotes */
};

/**
 * @param out  the JSON text, for the caller to free()
 * @param len  its length without the NUL
 * @return 0 or -ENOMEM
 */
int dp_ack_encode(const struct dp_ack_range *ranges, size_t n, char **out, size_t *len);

/** The same, saying as well which encoding is taken. @return as dp_ack_encode() */
int dp_ack_encode_takes(const struct dp_ack_range *ranges, size_t n, enum dp_encoding takes,
	char **out, size_t *len);

/** The answer when not even the identity could be read. @return as dp_ack_encode() */
int dp_ack_encode_error(const char *reason, char **out, size_t *len);

/**
 * Read an answer.
 * @param each   called for every well-formed range; its reason lives for the call
 * @param error  called with the reason when the answer is about the whole message
 * @return 0; -EBADMSG not an answer (ranges before the malformed one were passed on);
 *         -ENOMEM
 */
int dp_ack_decode(const char *json, size_t len,
	void (*each)(void *data, const struct dp_ack_range *range),
	void (*error)(void *data, const char *reason), void *data);

/** Whether an answer says that this encoding is taken; not when it cannot be read. */
bool dp_ack_takes(const char *json, size_t len, enum dp_encoding encoding);

#endif
