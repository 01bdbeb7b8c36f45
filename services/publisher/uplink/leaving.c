#include "leaving.h"

int64_t leaving_paused_until(const struct stream *stream)
{
	int64_t parked_ms = stream->uplink.parked_until_ms;
	int64_t ungranted_ms = stream->uplink.ungranted_until_ms;
	return parked_ms > ungranted_ms ? parked_ms : ungranted_ms;
}

bool leaving_paused(const struct stream *stream, int64_t now_ms)
{
	return leaving_paused_until(stream) > now_ms;
}

bool leaving_allowed(const struct stream *stream, int64_t now_ms)
{
	return !leaving_paused(stream, now_ms) && !stream_waits(stream);
}

uint64_t leaving_stored(const struct streams *streams, int64_t now_ms)
{
	uint64_t n = 0;
	for (const struct stream *s = streams->first; s != NULL; s = s->next)
		n += leaving_allowed(s, now_ms) ? stream_stored(s) : 0;
	return n;
}
