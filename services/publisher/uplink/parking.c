#include "parking.h"

#include "backoff.h"
#include "log.h"
#include "number.h"

#define FIRST_MS 5000
#define LIMIT_MS 300000

void parking_begin(
	struct stream *stream, const char *reason, int64_t now_ms, uint64_t *random)
{
	if (stream->uplink.park_ms == 0) {
		char hex[DP_STREAM_HEX + 1];
		dp_hex_encode(stream->id.bytes, DP_STREAM_BYTES, hex);
		dp_log(DP_LOG_WARN, "the centre does not take a stream now; it is kept",
			"stream=%s node=%s reason=\"%s\"", hex, stream->node, reason);
		stream->uplink.park_ms = FIRST_MS;
	} else if (stream->uplink.parked_until_ms <= now_ms) {
		stream->uplink.park_ms *= 2;
		if (stream->uplink.park_ms > LIMIT_MS)
			stream->uplink.park_ms = LIMIT_MS;
	}
	stream->uplink.parked_until_ms =
		now_ms + dp_jitter_ms(random, stream->uplink.park_ms);
}

void parking_end(struct stream *stream)
{
	stream->uplink.park_ms = 0;
}

bool parking_begun(const struct stream *stream)
{
	return stream->uplink.park_ms > 0;
}
